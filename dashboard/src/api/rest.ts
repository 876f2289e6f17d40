// Asks REST. Every refusal of the service is an `ApiError` with its own words.
import type { paths } from "./schema.gen";
import { refusal, token } from "./token";

const TIMEOUT_MS = 15_000;
const MOST_TRIES = 4;

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

export type JsonOf<P extends keyof paths> = paths[P] extends {
  get: { responses: { 200: { content: { "application/json": infer Body } } } };
}
  ? Body
  : never;

type QueryOf<P extends keyof paths> = paths[P] extends { get: { parameters: { query?: infer Query } } }
  ? NonNullable<Query>
  : never;

type PlaceOf<P extends keyof paths> = paths[P] extends { get: { parameters: { path: infer Place } } }
  ? Place
  : undefined;

/** Returns the JSON at a path of the API. `place` fills what varies in it. */
export async function ask<P extends keyof paths>(
  path: P,
  options: { query?: QueryOf<P>; place?: PlaceOf<P>; signal?: AbortSignal } = {},
): Promise<JsonOf<P>> {
  let url: string = path;
  for (const [name, value] of Object.entries(options.place ?? {})) {
    url = url.replace(`{${name}}`, encodeURIComponent(String(value)));
  }
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(options.query ?? {})) {
    if (value !== undefined && value !== null) query.set(name, String(value));
  }
  if (query.size > 0) url += `?${query}`;
  return (await answer(url, options.signal)) as JsonOf<P>;
}

async function answer(url: string, cancelled: AbortSignal | undefined): Promise<unknown> {
  for (let tries = 1; ; tries += 1) {
    const shown = token.value;
    const response = await reach(url, shown, cancelled);
    if (response.ok) return response.json();
    const error = await explain(response);
    if (response.status === 401 && shown === token.value) refusal.value = error.message;
    const waitS = Number(response.headers.get("Retry-After") ?? "0");
    const isBusy = response.status === 429 || response.status === 503;
    if (!isBusy || !(waitS > 0) || tries === MOST_TRIES) throw error; // a date is no number
    await new Promise((resolve) => setTimeout(resolve, waitS * 1000));
    cancelled?.throwIfAborted();
  }
}

async function reach(
  url: string,
  shown: string | null,
  cancelled: AbortSignal | undefined,
): Promise<Response> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  try {
    return await fetch(url, {
      headers: shown === null ? {} : { Authorization: `Bearer ${shown}` },
      signal: cancelled === undefined ? timeout : AbortSignal.any([cancelled, timeout]),
    });
  } catch (error) {
    if (cancelled?.aborted) throw error;
    throw new ApiError(
      0,
      "unreachable",
      "Hydrophone does not answer",
      "is it running, and is this machine online?",
    );
  }
}

async function explain(response: Response): Promise<ApiError> {
  try {
    const { error } = (await response.json()) as { error: { code: string; message: string; hint: string } };
    return new ApiError(response.status, error.code, error.message, error.hint);
  } catch {
    return new ApiError(response.status, "unknown", `the service answered ${response.status}`, "");
  }
}
