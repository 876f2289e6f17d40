import { useState } from "preact/hooks";
import type { Gaps } from "../../api/types";
import { Figure, Panel } from "../../components/panel";
import { Scrolling } from "../../components/scrolling";
import { Empty, Failed, Insufficient, Loading } from "../../components/states";
import { LEAST, rateOf } from "../../model/accuracy";
import { formatCount, formatDuration, formatInstant, formatN, formatShare } from "../../model/amounts";
import { type Gap, listGaps, reasonOf, stretchesOf } from "../../model/gaps";

const FIRST_ROWS = 8;
/** A thousandth of the line is a pixel. */
const LEAST_SHARE = 0.001;

/** When we did not hear, why, and what that cost. */
export function BlindnessPanel({
  gaps,
  error,
  again,
}: {
  gaps: Gaps | null;
  error: string | null;
  again: () => void;
}) {
  return (
    <Panel
      id="blindness"
      title="When we were blind"
      hint="Whales of these times were not predicted, or late. Time in which Hydrophone was not running counts."
    >
      {gaps === null && error === null && <Loading what="gaps" />}
      {gaps === null && error !== null && <Failed error={error} again={again} />}
      {gaps !== null && <Blindness gaps={gaps} />}
    </Panel>
  );
}

function Blindness({ gaps }: { gaps: Gaps }) {
  const { n } = gaps.blind_spot_rate;
  const unseen = rateOf(gaps.blind_spot_rate);
  return (
    <>
      <div class="panel-body">
        <Line gaps={gaps} />
        <dl class="figures figures-plain blind-figures">
          <Figure name="Blind" hint={`of ${formatDuration(gaps.period_s)}, in ${countGaps(gaps)}`}>
            {gaps.blind_share === null
              ? "unknown"
              : `${formatDuration(gaps.blind_s)} (${formatShare(gaps.blind_share, 1)})`}
          </Figure>
          <Figure
            name="Whales mined unseen"
            hint={
              unseen === null ? undefined : `of ${formatN(n)} mined; miners also take what no mempool had`
            }
          >
            {unseen === null ? <Insufficient n={n} least={LEAST} /> : formatShare(unseen, 1)}
          </Figure>
          <Figure name="Blocks" hint="in the period; whose contents were read">
            {formatCount(gaps.blocks)}, {formatCount(gaps.blocks_read)}
          </Figure>
        </dl>
      </div>
      {gaps.gap_count === 0 && gaps.open_gap === null ? (
        <Empty title="Never in this period" />
      ) : (
        <GapTable gaps={gaps} />
      )}
    </>
  );
}

function Line({ gaps }: { gaps: Gaps }) {
  const words =
    gaps.blind_share === null
      ? ""
      : `blind for ${formatShare(gaps.blind_share, 1)} of the time, in ${countGaps(gaps)}`;
  return (
    <div class="blind-line-wrap">
      <div class="blind-line" role="img" aria-label={`From ${gaps.from} to ${gaps.to}: ${words}`}>
        {stretchesOf(gaps, LEAST_SHARE).map(({ from, to, isOpen }) => (
          <span
            key={`${from}`}
            class={`blind-stretch ${isOpen ? "is-open" : ""}`}
            style={{ left: `${from * 100}%`, width: `max(2px, ${(to - from) * 100}%)` }}
          />
        ))}
      </div>
      <small class="blind-ends">
        <time dateTime={gaps.from}>{formatInstant(Date.parse(gaps.from))}</time>
        <span class="blind-key">
          <span class="blind-key-heard" /> heard <span class="blind-key-blind" /> blind
        </span>
        <time dateTime={gaps.to}>now</time>
      </small>
    </div>
  );
}

function GapTable({ gaps }: { gaps: Gaps }) {
  const [isWhole, setWhole] = useState(false);
  const all = listGaps(gaps);
  const shown = isWhole ? all : all.slice(0, FIRST_ROWS);
  return (
    <>
      <Scrolling label="Gaps" class="table-tall">
        <table>
          <thead>
            <tr>
              <th scope="col">When</th>
              <th scope="col" class="number">
                How long
              </th>
              <th scope="col">Why</th>
              <th scope="col">Source</th>
              <th scope="col" class="number">
                Blocks
              </th>
              <th scope="col" class="number">
                Whales mined
              </th>
              <th scope="col" class="number">
                Of those unseen
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((gap) => (
              <GapRow key={`${gap.source}${gap.started_at}${gap.reason}`} gap={gap} />
            ))}
          </tbody>
        </table>
      </Scrolling>
      {all.length > FIRST_ROWS && (
        <p class="more">
          <button type="button" class="button button-plain" onClick={() => setWhole(!isWhole)}>
            {isWhole ? "Show fewer" : `Show all ${formatCount(all.length)}`}
          </button>
          {isWhole && gaps.gaps_left_off > 0 && `${formatCount(gaps.gaps_left_off)} older ones are left off.`}
        </p>
      )}
    </>
  );
}

function GapRow({ gap }: { gap: Gap }) {
  return (
    <tr>
      <th scope="row">
        <time dateTime={gap.started_at}>{formatInstant(Date.parse(gap.started_at))}</time>
      </th>
      <td class="number">
        {formatDuration(gap.duration_s)} {gap.ended_at === null && <span class="mark mark-warn">still</span>}
      </td>
      <td title={gap.detail}>{reasonOf(gap)}</td>
      <td class="muted">{gap.source}</td>
      <td class="number">{formatCount(gap.blocks)}</td>
      <td class="number">{countOf(gap.whales_mined)}</td>
      <td class="number">{countOf(gap.whales_unseen)}</td>
    </tr>
  );
}

function countGaps(gaps: Gaps): string {
  return gaps.gap_count === 1 ? "one gap" : `${formatCount(gaps.gap_count)} gaps`;
}

function countOf(count: number | null): string {
  return count === null ? "unknown" : formatCount(count);
}
