// Files of the API. A link cannot show a token, so they are fetched and then handed to the browser; and a table
// comes in pages, which a person wants as one file.
import { token } from "./token";

const KEPT_MS = 60_000; // chosen: browsers may ask first where to save it
const MOST_PAGES = 200; // chosen: 200,000 rows; half a table must not be taken for all of it
const NEXT = /<([^>]+)>;\s*rel="next"/;

/** Saves what a path answers as CSV under a name, all pages of it. Throws what went wrong, in words. */
export async function downloadCsv(path: string, name: string): Promise<void> {
  const parts: string[] = [];
  let next: string | null = path;
  for (let pages = 0; next !== null && pages < MOST_PAGES; pages += 1) {
    const response = await reach(next);
    if (!response.ok) throw new Error(`the service answered ${response.status}`);
    const text = await response.text();
    parts.push(pages === 0 ? text : withoutHead(text));
    next = nextOf(response.headers.get("Link"));
  }
  if (next !== null) throw new Error("too much for one file: choose a shorter period");
  save(new Blob(parts, { type: "text/csv" }), name);
}

async function reach(path: string): Promise<Response> {
  try {
    return await fetch(path, {
      headers: token.value === null ? {} : { Authorization: `Bearer ${token.value}` },
    });
  } catch {
    throw new Error("Hydrophone does not answer");
  }
}

/** Only a path of this service: a token goes nowhere else. */
export function nextOf(link: string | null): string | null {
  const [, address] = NEXT.exec(link ?? "") ?? [];
  if (address === undefined) return null;
  const url = new URL(address, location.href);
  return url.pathname + url.search;
}

export function withoutHead(csv: string): string {
  const end = csv.indexOf("\n");
  return end < 0 ? "" : csv.slice(end + 1);
}

function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
}
