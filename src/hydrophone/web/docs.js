// Shows /openapi.json to people. It asks nobody but the server it came from, and never parses text as markup.
"use strict";

function element(name, text, children) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  for (const child of children || []) made.append(child);
  return made;
}

function typeOf(schema, all) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map((one) => typeOf(one, all)).join(" or ");
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.type === "array") return typeOf(schema.items, all) + "[]";
  const form = schema.format ? " (" + schema.format + ")" : "";
  return (schema.type || "any") + form;
}

function textOf(schema) {
  if (schema.description) return schema.description;
  const told = (schema.anyOf || []).find((one) => one.description);
  return told ? told.description : "";
}

function limitsOf(schema) {
  const told = [];
  for (const [name, word] of [["minimum", "at least"], ["exclusiveMinimum", "more than"], ["maximum", "at most"]]) {
    if (schema[name] !== undefined) told.push(word + " " + schema[name]);
  }
  if (schema.default !== undefined) told.push("else " + schema.default);
  return told.join(", ");
}

function table(rows, heads) {
  const head = element("tr", null, heads.map((text) => element("th", text)));
  const lines = rows.map((row) => element("tr", null, row.map((text) => element("td", text))));
  return element("table", null, [element("thead", null, [head]), element("tbody", null, lines)]);
}

function fields(name, schemas) {
  const schema = schemas[name];
  const rows = Object.entries(schema.properties || {}).map(([key, one]) => [key, typeOf(one, schemas), textOf(one)]);
  return element("details", null, [
    element("summary", name + (schema.description ? ": " + schema.description : "")),
    table(rows, ["field", "type", "means"]),
  ]);
}

function used(schema, schemas, seen) {
  if (!schema || typeof schema !== "object") return seen;
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    if (!seen.includes(name)) {
      seen.push(name);
      used(schemas[name], schemas, seen);
    }
  }
  for (const part of Object.values(schema)) used(part, schemas, seen);
  return seen;
}

function operation(path, said, schemas) {
  const section = element("section");
  section.id = said.operationId;
  section.append(element("h2", "GET " + path), element("p", said.summary), element("p", said.description));
  if (said.parameters.length) {
    const rows = said.parameters.map((p) => [p.name, p.in, typeOf(p.schema, schemas), p.description || "", limitsOf(p.schema)]);
    section.append(table(rows, ["parameter", "in", "type", "means", "limits"]));
  }
  const content = said.responses["200"].content;
  section.append(element("p", "Answers " + Object.keys(content).join(" or ") + "; refusals: " +
    Object.keys(said.responses).filter((code) => Number(code) >= 400).join(", ") + "."));
  const json = content["application/json"];
  if (json) {
    for (const name of used(json.schema, schemas, [])) section.append(fields(name, schemas));
    if (json.example) section.append(element("pre", JSON.stringify(json.example, null, 2)));
  }
  return section;
}

async function show() {
  const about = document.getElementById("about");
  try {
    const api = await (await fetch("/openapi.json")).json();
    about.textContent = "";
    about.append(api.info.description + " Version " + api.info.version + ". ", link("/openapi.json", "OpenAPI " + api.openapi));
    const contents = document.getElementById("contents");
    const operations = document.getElementById("operations");
    for (const [path, methods] of Object.entries(api.paths)) {
      contents.append(element("p", null, [link("#" + methods.get.operationId, path), " " + methods.get.summary]));
      operations.append(operation(path, methods.get, api.components.schemas));
    }
  } catch (error) {
    about.textContent = "The description could not be read: " + error;
  }
}

function link(target, text) {
  const made = element("a", text);
  made.href = target;
  return made;
}

show();
