import { afterEach, describe, expect, it, vi } from "vitest";
import { downloadCsv, nextOf, withoutHead } from "../../src/api/download";
import { forgetToken, keepToken } from "../../src/api/token";

afterEach(() => {
  forgetToken();
  vi.unstubAllGlobals();
});

function answers(...pages: [body: string, link: string | null][]) {
  const asked: [path: string, authorization: string | undefined][] = [];
  const fetched = vi.fn(async (path: string, options: { headers: Record<string, string> }) => {
    const [body, link] = pages[asked.length] ?? ["", null];
    asked.push([path, options.headers["Authorization"]]);
    return new Response(body, { headers: link === null ? {} : { Link: link } });
  });
  vi.stubGlobal("fetch", fetched);
  return asked;
}

describe("a table as a file", () => {
  it("is all pages of it, with one head, and shows the token", async () => {
    keepToken("secret", false);
    let saved: Blob | null = null;
    vi.spyOn(URL, "createObjectURL").mockImplementation((blob) => {
      saved = blob as Blob;
      return "blob:saved";
    });
    const asked = answers(["a,b\n1,2\n", '</api/v1/netflow?cursor=7>; rel="next"'], ["a,b\n3,4\n", null]);
    await downloadCsv("/api/v1/netflow", "flows.csv");
    expect(asked).toEqual([
      ["/api/v1/netflow", "Bearer secret"],
      ["/api/v1/netflow?cursor=7", "Bearer secret"],
    ]);
    expect(await (saved as Blob | null)?.text()).toBe("a,b\n1,2\n3,4\n");
  });

  it("says what the service answered", async () => {
    vi.stubGlobal("fetch", async () => new Response("", { status: 503 }));
    await expect(downloadCsv("/api/v1/netflow", "flows.csv")).rejects.toThrow("503");
  });

  it("is not saved by half", async () => {
    const saved = vi.spyOn(URL, "createObjectURL");
    vi.stubGlobal(
      "fetch",
      async () => new Response("a\n1\n", { headers: { Link: '<http://localhost/api>; rel="next"' } }),
    );
    await expect(downloadCsv("/api/v1/netflow", "flows.csv")).rejects.toThrow("too much for one file");
    expect(saved).not.toHaveBeenCalled();
  });

  it("says that nobody answers", async () => {
    vi.stubGlobal("fetch", async () => Promise.reject(new TypeError("Failed to fetch")));
    await expect(downloadCsv("/api/v1/netflow", "flows.csv")).rejects.toThrow("does not answer");
  });

  it("takes a token to no other place", () => {
    expect(nextOf('<https://elsewhere.example/api?x=1>; rel="next"')).toBe("/api?x=1");
    expect(nextOf('</api>; rel="last"')).toBeNull();
    expect(nextOf(null)).toBeNull();
  });

  it("may be nothing but a head", () => {
    expect(withoutHead("a,b")).toBe("");
    expect(withoutHead("a,b\n")).toBe("");
  });
});
