import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError, ask } from "../../src/api/rest";
import { forgetToken, keepToken, refusal } from "../../src/api/token";

const fetched = vi.fn<typeof fetch>();

function answer(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return new Response(typeof body === "string" ? body : JSON.stringify(body), { status, headers });
}

function refused(code: string): object {
  return { error: { code, message: `it is ${code}`, hint: "try something else" } };
}

beforeEach(() => {
  vi.useFakeTimers();
  fetched.mockReset();
  vi.stubGlobal("fetch", fetched);
  forgetToken();
  refusal.value = null;
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a question", () => {
  it("is spelled with its place and its conditions", async () => {
    fetched.mockImplementation(async () => answer(200, {}));
    await ask("/api/v1/predictions/{txid}", { place: { txid: "a/b" } });
    await ask("/api/v1/predictions", { query: { exchange: "A & B", limit: 5 } });
    expect(fetched.mock.calls.map(([url]) => url)).toEqual([
      "/api/v1/predictions/a%2Fb",
      "/api/v1/predictions?exchange=A+%26+B&limit=5",
    ]);
  });

  it("shows the token in a header, never in the address", async () => {
    keepToken("secret", false);
    fetched.mockImplementation(async () => answer(200, {}));
    await ask("/api/v1/status");
    const [url, init] = fetched.mock.calls[0] ?? [];
    expect(url).toBe("/api/v1/status");
    expect(init?.headers).toEqual({ Authorization: "Bearer secret" });
  });
});

describe("a refusal", () => {
  it("has the service's own words", async () => {
    fetched.mockResolvedValue(answer(422, refused("invalid_parameter")));
    await expect(ask("/api/v1/status")).rejects.toMatchObject({
      name: "ApiError",
      status: 422,
      code: "invalid_parameter",
      message: "it is invalid_parameter",
      hint: "try something else",
    });
  });

  it("says its status where something else answers", async () => {
    fetched.mockResolvedValue(answer(502, "<html>bad gateway</html>"));
    await expect(ask("/api/v1/status")).rejects.toThrow("the service answered 502");
  });

  it("for want of a token asks for one", async () => {
    fetched.mockResolvedValue(answer(401, refused("unauthorized")));
    await expect(ask("/api/v1/status")).rejects.toBeInstanceOf(ApiError);
    expect(refusal.value).toBe("it is unauthorized");
  });

  it("of a token that was changed meanwhile does not count", async () => {
    fetched.mockImplementation(async () => {
      keepToken("newer", false);
      return answer(401, refused("unauthorized"));
    });
    await expect(ask("/api/v1/status")).rejects.toBeInstanceOf(ApiError);
    expect(refusal.value).toBeNull();
  });

  it("is not read as one where nobody answers", async () => {
    fetched.mockRejectedValue(new TypeError("Failed to fetch"));
    await expect(ask("/api/v1/status")).rejects.toMatchObject({
      status: 0,
      code: "unreachable",
      message: "Hydrophone does not answer",
    });
  });

  it("is none where the page itself broke off", async () => {
    const stop = new AbortController();
    fetched.mockImplementation(async () => {
      stop.abort();
      throw stop.signal.reason;
    });
    await expect(ask("/api/v1/status", { signal: stop.signal })).rejects.toMatchObject({
      name: "AbortError",
    });
  });
});

describe("too much asked", () => {
  it.each([429, 503])("%d: asks again after as long as the service says", async (status) => {
    fetched.mockResolvedValueOnce(answer(status, refused("busy"), { "Retry-After": "2" }));
    fetched.mockResolvedValueOnce(answer(200, { version: "1" }));
    const asked = ask("/api/v1/status");
    await vi.advanceTimersByTimeAsync(1_999);
    expect(fetched).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1);
    await expect(asked).resolves.toMatchObject({ version: "1" });
  });

  it.each([{}, { "Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT" }])(
    "does not hurry without a number: %j",
    async (headers) => {
      fetched.mockResolvedValue(answer(429, refused("busy"), headers as Record<string, string>));
      await expect(ask("/api/v1/status")).rejects.toMatchObject({ status: 429 });
      expect(fetched).toHaveBeenCalledTimes(1);
    },
  );

  it("gives up after four times", async () => {
    fetched.mockImplementation(async () => answer(429, refused("busy"), { "Retry-After": "1" }));
    const asked = expect(ask("/api/v1/status")).rejects.toMatchObject({ status: 429 });
    await vi.advanceTimersByTimeAsync(10_000);
    await asked;
    expect(fetched).toHaveBeenCalledTimes(4);
  });

  it("is not asked again by a view that is gone", async () => {
    const stop = new AbortController();
    fetched.mockImplementation(async () => answer(429, refused("busy"), { "Retry-After": "5" }));
    const asked = expect(ask("/api/v1/status", { signal: stop.signal })).rejects.toMatchObject({
      name: "AbortError",
    });
    await vi.advanceTimersByTimeAsync(1_000);
    stop.abort();
    await vi.advanceTimersByTimeAsync(5_000);
    await asked;
    expect(fetched).toHaveBeenCalledTimes(1);
  });
});
