import { useState } from "preact/hooks";
import type { Coverage } from "../../api/types";
import { FlowMark } from "../../components/flow";
import { Sliders } from "../../components/icons";
import { countConditions, type Filters, formatFilters, NO_FILTERS } from "../../model/filters";
import { FLOWS, type Flow } from "../../model/whale";
import { go } from "../../state/router";
import { ended, filters, waiting } from "../../state/session";
import { useAsk } from "../../state/use-ask";

const SIZES = [0, 100, 250, 500, 1000, 5000] as const;
const LABELS_MS = 600_000;
const URGENCIES = [0, 0.25, 0.5, 0.75] as const;

/** Sets conditions; they stand in the page's address. */
export function setFilters(change: Partial<Filters>): void {
  const text = formatFilters({ ...filters.value, ...change }).toString();
  go(text === "" ? "/" : `/?${text}`, { replace: true });
}

export function FilterBar() {
  const [isOpen, setOpen] = useState(false);
  const { flows, exchange, minMovedBtc, minUrgency } = filters.value;
  const count = countConditions(filters.value);
  const names = namesOf(useAsk("/api/v1/labels/coverage", {}, LABELS_MS).data, exchange);
  return (
    <search class="filters" aria-label="Filters">
      <button
        type="button"
        class="button filters-toggle"
        aria-expanded={isOpen}
        aria-controls="filter-controls"
        onClick={() => setOpen(!isOpen)}
      >
        <Sliders /> Filters{count > 0 && <span class="badge">{count}</span>}
      </button>
      <div id="filter-controls" class={`filter-controls ${isOpen ? "is-open" : ""}`}>
        <fieldset class="chips">
          <legend class="unseen">Flow</legend>
          {FLOWS.map((flow) => (
            <label key={flow} class="chip">
              <input
                type="checkbox"
                checked={flows.includes(flow)}
                onChange={() => setFilters({ flows: toggled(flows, flow) })}
              />
              <FlowMark flow={flow} words />
            </label>
          ))}
        </fieldset>
        <label class="field">
          <span>Exchange</span>
          <select value={exchange} onChange={(event) => setFilters({ exchange: event.currentTarget.value })}>
            <option value="">any</option>
            {names.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>Moved</span>
          <select
            value={String(minMovedBtc)}
            onChange={(event) => setFilters({ minMovedBtc: Number(event.currentTarget.value) })}
          >
            {withValue(SIZES, minMovedBtc).map((size) => (
              <option key={size} value={String(size)}>
                {size === 0 ? "any size" : `from ${size.toLocaleString("en")} BTC`}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>Urgency</span>
          <select
            value={String(minUrgency)}
            onChange={(event) => setFilters({ minUrgency: Number(event.currentTarget.value) })}
          >
            {withValue(URGENCIES, minUrgency).map((least) => (
              <option key={least} value={String(least)}>
                {least === 0 ? "any" : `from ${least}`}
              </option>
            ))}
          </select>
        </label>
        {count > 0 && (
          <button
            type="button"
            class="button button-plain"
            onClick={() => setFilters({ ...NO_FILTERS, ended: filters.value.ended })}
          >
            Clear
          </button>
        )}
      </div>
    </search>
  );
}

/** Without one of the flows, or with it; none at all would show nothing, so that means all. */
function toggled(flows: readonly Flow[], flow: Flow): readonly Flow[] {
  const left = FLOWS.filter((known) => flows.includes(known) !== (known === flow));
  return left.length === 0 ? FLOWS : left;
}

/** The choices there are, and what the address asked for. */
function withValue(choices: readonly number[], value: number): number[] {
  return [...new Set([...choices, value])].sort((one, other) => one - other);
}

/** Exchanges that labels name, those of the whales in sight, and the one the address asks for. */
function namesOf(coverage: Coverage | null, asked: string): string[] {
  const labelled = (coverage?.entities ?? []).filter(({ kind }) => kind === "exchange");
  const seen = [...waiting.value, ...ended.value.slice(0, 500)].flatMap(({ entities }) => entities);
  const names = [...labelled.map(({ entity }) => entity), ...seen.map(({ name }) => name), asked];
  return [...new Set(names)].filter((name) => name !== "").sort((one, other) => one.localeCompare(other));
}
