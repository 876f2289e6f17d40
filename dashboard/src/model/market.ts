// The fee market beside a prediction. The service keeps it as it was written then, so nothing is sure to be there.
export interface Market {
  /** Milliseconds since 1970: so new were its figures. */
  readonly atMs: number | null;
  readonly tip: number | null;
  readonly intervalS: number | null;
  readonly waitingWu: number | null;
  readonly aheadWu: number | null;
  readonly inflowWuS: number | null;
  readonly marginalRate: number | null;
  readonly overpay: number | null;
}

export function marketOf(kept: Readonly<Record<string, unknown>> | null): Market | null {
  if (kept === null || Object.keys(kept).length === 0) return null;
  const at = typeof kept["at"] === "string" ? Date.parse(kept["at"]) : Number.NaN;
  return {
    atMs: Number.isNaN(at) ? null : at,
    tip: numberOf(kept["tip"]),
    intervalS: numberOf(kept["tau_s"]),
    waitingWu: numberOf(kept["waiting_wu"]),
    aheadWu: numberOf(kept["ahead_wu"]),
    inflowWuS: numberOf(kept["inflow_wu_s"]),
    marginalRate: numberOf(kept["marginal_rate_sat_vb"]),
    overpay: numberOf(kept["overpay"]),
  };
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}
