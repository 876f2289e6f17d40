// What the API's types leave open is read as what it should be; anything else is as good as not there.
export type Fields = Readonly<Record<string, unknown>>;

export function numberIn(fields: Fields, name: string): number | null {
  const value = fields[name];
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

export function textIn(fields: Fields, name: string): string | null {
  const value = fields[name];
  return typeof value === "string" ? value : null;
}

export function truthIn(fields: Fields, name: string): boolean | null {
  const value = fields[name];
  return typeof value === "boolean" ? value : null;
}

export function fieldsIn(fields: Fields, name: string): Fields {
  const value = fields[name];
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

/** Rows of numbers, such as `[[rate, weight], ...]`; rows that are none are left out. */
export function rowsIn(fields: Fields, name: string): readonly (readonly number[])[] {
  const value = fields[name];
  if (!Array.isArray(value)) return [];
  return value.filter(
    (row): row is number[] => Array.isArray(row) && row.every((cell) => typeof cell === "number"),
  );
}

export function numbersIn(fields: Fields, name: string): readonly number[] {
  const value = fields[name];
  return Array.isArray(value) ? value.filter((cell): cell is number => typeof cell === "number") : [];
}

export function textsIn(fields: Fields, name: string): readonly string[] {
  const value = fields[name];
  return Array.isArray(value) ? value.filter((cell): cell is string => typeof cell === "string") : [];
}
