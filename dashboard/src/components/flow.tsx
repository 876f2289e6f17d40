import type { Flow } from "../model/whale";
import { Inflow, Internal, Outflow, Unknown } from "./icons";

const ICONS = { inflow: Inflow, outflow: Outflow, internal: Internal, unknown: Unknown } as const;

export const FLOW_WORDS = {
  inflow: "into an exchange",
  outflow: "out of an exchange",
  internal: "within exchanges: inside one, or from one to another",
  unknown: "direction unknown",
} as const;

/** The sign of a direction; `words` stands beside it, else it is said to who cannot see it. */
export function FlowMark({ flow, words = false }: { flow: Flow; words?: boolean }) {
  const Icon = ICONS[flow];
  return (
    <span class={`flow flow-${flow}`} title={FLOW_WORDS[flow]}>
      <Icon />
      <span class={words ? "" : "unseen"}>{flow}</span>
    </span>
  );
}
