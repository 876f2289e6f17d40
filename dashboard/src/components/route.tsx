import type { Whale } from "../model/whale";
import { describeRoute } from "../model/words";

/** Who pays whom. */
export function Route({ whale }: { whale: Whale }) {
  const { from, to } = describeRoute(whale);
  if (from === to) return <b>inside {from.text}</b>;
  return (
    <>
      <span class={from.isNamed ? "name" : "nobody"}>{from.text}</span>
      <span class="arrow">
        {" "}
        &rarr;<span class="unseen"> to</span>{" "}
      </span>
      <span class={to.isNamed ? "name" : "nobody"}>{to.text}</span>
    </>
  );
}
