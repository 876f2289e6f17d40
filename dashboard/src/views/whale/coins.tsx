import { useMemo, useState } from "preact/hooks";
import type { Explanation } from "../../api/types";
import { Amount } from "../../components/amount";
import { Panel } from "../../components/panel";
import { TableSwitch } from "../../components/table-switch";
import { formatCount, formatExactBtc, formatShare } from "../../model/amounts";
import {
  type Band,
  claimOn,
  type Drawing,
  draw,
  inputBands,
  outline,
  outputBands,
  type Placed,
} from "../../model/sankey";

const WIDTH = 200;
const SMALL_SAT = 1_000_000;
const MIDDLE = [97, 103] as const;

/** Inputs, the transaction, its outputs, and the fee: as wide as they are worth. */
export function Coins({ explanation }: { explanation: Explanation }) {
  const [isTable, setTable] = useState(false);
  const { inputs, outputs } = explanation;
  const drawing = useMemo(() => draw(inputBands(explanation), outputBands(explanation)), [explanation]);
  return (
    <Panel
      id="coins"
      title="Where the coins go"
      hint={`${count(inputs.length, "input")} to ${count(outputs.length, "output")}; names are claims of labels`}
      aside={<TableSwitch isTable={isTable} setTable={setTable} of="where the coins go" picture="diagram" />}
    >
      <div class="panel-body">
        {isTable ? <CoinsTable explanation={explanation} /> : <Sankey drawing={drawing} />}
        {!isTable && <Key drawing={drawing} />}
      </div>
    </Panel>
  );
}

function count(n: number, what: string): string {
  return `${formatCount(n)} ${what}${n === 1 ? "" : "s"}`;
}

/** Only the bands are drawn as a picture: text stays text, and as large as it is elsewhere. */
function Sankey({ drawing }: { drawing: Drawing }) {
  const { height, middle, inputs, outputs } = drawing;
  return (
    <div class="sankey" style={{ height: `${height}px` }}>
      <ul class="sankey-side sankey-inputs" aria-label="Inputs">
        {inputs.map((band) => (
          <BandLabel key={band.key} band={band} side="input" />
        ))}
      </ul>
      <svg
        class="sankey-bands"
        viewBox={`0 0 ${WIDTH} ${height}`}
        preserveAspectRatio="none"
        height={height}
        aria-hidden="true"
      >
        <defs>
          <pattern id="change-tile" width="6" height="6" patternUnits="userSpaceOnUse">
            <rect class="tile-ground" width="6" height="6" />
            <rect class="tile-line" width="6" height="2.4" />
          </pattern>
        </defs>
        {inputs.map((band) => (
          <path
            key={band.key}
            class={`band band-${band.kind} ${band.sat === null ? "band-untold" : ""}`}
            d={outline(band, 0, MIDDLE[0])}
          />
        ))}
        {outputs.map((band) => (
          <path key={band.key} class={`band band-${band.kind}`} d={outline(band, WIDTH, MIDDLE[1])} />
        ))}
        <rect
          class="sankey-middle"
          x={MIDDLE[0]}
          y={middle.top}
          width={MIDDLE[1] - MIDDLE[0]}
          height={middle.height}
          rx={1}
        />
      </svg>
      <ul class="sankey-side sankey-outputs" aria-label="Outputs">
        {outputs.map((band) => (
          <BandLabel key={band.key} band={band} side="output" />
        ))}
      </ul>
    </div>
  );
}

function BandLabel({ band, side }: { band: Placed; side: "input" | "output" }) {
  return (
    <li
      class={`band-label band-label-${band.kind}`}
      style={{ top: `${band.top}px`, height: `${band.height}px` }}
    >
      <span class="band-name" title={band.address ?? undefined}>
        {nameOf(band, side)}
      </span>
      <span class="band-amount">
        <BandAmount sat={band.sat} />
        {band.kind === "change" && (
          <em> {band.change === null ? "change" : `change ${formatChange(band.change)}`}</em>
        )}
      </span>
    </li>
  );
}

/** What would be rounded to nothing is told in satoshis. */
function BandAmount({ sat }: { sat: number | null }) {
  if (sat === null) return <>not told</>;
  return sat < SMALL_SAT ? <>{formatCount(sat)} sat</> : <Amount sat={sat} />;
}

function formatChange(probability: number): string {
  return formatShare(probability, probability > 0.99 && probability < 1 ? 1 : 0);
}

function nameOf(band: Band, side: string): string {
  if (band.kind === "fee") return "fee";
  if (band.key === "rest") {
    const more = `${formatCount(band.count)} more`;
    return band.entity === null ? `and ${more}` : `and ${more} of ${band.entity}`;
  }
  const times = band.count > 1 ? ` \u00d7${band.count}` : "";
  if (band.entity !== null) return `${band.entity}${band.role === null ? "" : ` ${band.role}`}${times}`;
  return `${band.address === null ? side : shortAddress(band.address)}${times}`;
}

function shortAddress(address: string): string {
  return address.length <= 16 ? address : `${address.slice(0, 8)}\u2026${address.slice(-5)}`;
}

const KINDS = [
  ["known", "of somebody whom a label names"],
  ["nobody", "of nobody we know"],
  ["change", "probably change: it stays with the sender"],
  ["fee", "fee"],
] as const;

/** What the colours mean that are there. */
function Key({ drawing }: { drawing: Drawing }) {
  const there = new Set([...drawing.inputs, ...drawing.outputs].map(({ kind }) => kind));
  return (
    <ul class="sankey-key" aria-label="Colours">
      {KINDS.filter(([kind]) => there.has(kind)).map(([kind, words]) => (
        <li key={kind} class={`key-${kind}`}>
          {words}
        </li>
      ))}
    </ul>
  );
}

function CoinsTable({ explanation }: { explanation: Explanation }) {
  const { inputs, outputs, labels, fee_sat: fee } = explanation;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls can be scrolled by keyboard
    <section class="table-wrap coins-table" tabIndex={0} aria-label="Inputs and outputs">
      <table>
        <thead>
          <tr>
            <th scope="col">Side</th>
            <th scope="col">Address</th>
            <th scope="col" class="number">
              Amount
            </th>
            <th scope="col">Label</th>
            <th scope="col" class="number">
              Change
            </th>
          </tr>
        </thead>
        <tbody>
          {inputs.map(({ index, address, script, value_sat: sat }) => (
            <tr key={`input ${index}`}>
              <td class="coins-side">input {index}</td>
              <td class="mono address">{address ?? script ?? "not told"}</td>
              <td class="number coins-amount">{sat === null ? "not told" : formatExactBtc(sat)}</td>
              <td>{labelOf(labels, "input", index)}</td>
              <td />
            </tr>
          ))}
          {outputs.map(({ index, address, script, value_sat: sat, change_probability: change }) => (
            <tr key={`output ${index}`}>
              <td class="coins-side">output {index}</td>
              <td class="mono address">{address ?? script}</td>
              <td class="number coins-amount">{formatExactBtc(sat)}</td>
              <td>{labelOf(labels, "output", index)}</td>
              <td class="number coins-change">{change === null ? "not known" : formatChange(change)}</td>
            </tr>
          ))}
          <tr>
            <td class="coins-side">fee</td>
            <td />
            <td class="number coins-amount">{fee === null ? "not known" : formatExactBtc(fee)}</td>
            <td />
            <td />
          </tr>
        </tbody>
      </table>
    </section>
  );
}

function labelOf(labels: Explanation["labels"], side: string, index: number): string {
  const claim = claimOn(labels, side, index);
  if (claim === null) return "";
  return claim.role === "unknown" ? claim.entity : `${claim.entity}, ${claim.role}`;
}
