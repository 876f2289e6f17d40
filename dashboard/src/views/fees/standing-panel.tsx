import { useState } from "preact/hooks";
import { Sentence } from "../../components/facts";
import { Figure, Panel } from "../../components/panel";
import { formatCount, formatRate } from "../../model/amounts";
import {
  aheadOf,
  axisOf,
  CAPACITY_WU,
  formatBlocks,
  formatVirtual,
  type Market,
  placeOf,
  rateAt,
} from "../../model/feemarket";

const STEPS = 200;

/** Where a rate would stand now. How likely it is to confirm takes the service's model, not this page. */
export function StandingPanel({ market, marginal }: { market: Market; marginal: number | null }) {
  const [chosen, choose] = useState<number | null>(null);
  const axis = axisOf([...market.waiting, ...market.mined], [1, 50]);
  const rate = chosen ?? Math.max(1, round(marginal ?? 1));
  const ahead = aheadOf(market.waiting, rate);
  const arriving = aheadOf(market.inflow, rate) * market.tauS;
  const block = Math.floor(ahead / CAPACITY_WU) + 1;
  return (
    <Panel
      id="standing"
      title="Where a fee rate would stand"
      hint="in what waits now; not how likely it is to confirm"
    >
      <div class="panel-body rate-standing">
        <div class="standing-choice">
          <label class="field">
            <span>Fee rate</span>
            <input
              type="number"
              min={0.1}
              max={10_000}
              step="any"
              value={rate}
              onChange={(event) => choose(positive(event.currentTarget.valueAsNumber))}
            />
            <span>sat/vB</span>
          </label>
          <input
            type="range"
            aria-label="Fee rate"
            aria-valuetext={formatRate(rate)}
            min={0}
            max={STEPS}
            step={1}
            value={Math.round(placeOf(axis, rate) * STEPS)}
            onInput={(event) => choose(round(rateAt(axis, event.currentTarget.valueAsNumber / STEPS)))}
          />
        </div>
        <dl class="figures figures-plain" aria-live="polite">
          <Figure name="Ahead of it" hint={`${formatBlocks(ahead)} blocks`}>
            {formatVirtual(ahead)}
          </Figure>
          <Figure name="As things stand" hint="were nothing else to arrive">
            {block === 1 ? "the next block" : `block ${formatCount(block)}`}
          </Figure>
          <Figure name="Arrives ahead of it" hint="in a block's time, as lately">
            {formatBlocks(arriving)} <span class="unit">blocks</span>
          </Figure>
        </dl>
        <p class="muted">
          <Sentence text={`How likely it is within 1, 2, 3 or 6 blocks: \`hydrophone estimate ${rate}\`.`} />
        </p>
      </div>
    </Panel>
  );
}

function positive(rate: number): number | null {
  return Number.isFinite(rate) && rate > 0 ? rate : null;
}

/** As wallets say it: two or three digits. */
function round(rate: number): number {
  return Number(rate.toPrecision(rate < 10 ? 2 : 3));
}
