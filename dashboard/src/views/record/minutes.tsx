import type { Accuracy } from "../../api/types";
import { Panel } from "../../components/panel";
import { Insufficient } from "../../components/states";
import { LEAST, type Measured, RIVALS, readCoverage, readPit, readSkill } from "../../model/accuracy";
import { formatCount, formatN, formatShare } from "../../model/amounts";

const RIVAL_WORDS: Record<(typeof RIVALS)[number], string> = {
  climatology: "how it went in the last seven days",
  projected_block: "the block it would be in now",
  next_block: "always the next block",
};

/** Whether minutes were kept, and whether all this beats simple rules. */
export function MinutesPanel({ accuracy }: { accuracy: Accuracy }) {
  const { p50, p90 } = readCoverage(accuracy);
  return (
    <Panel id="minutes" title="Time to confirmation" hint="how many confirmed within the time we gave">
      <div class="panel-body minutes">
        <Kept name="P50" promised={0.5} found={p50} />
        <Kept name="P90" promised={0.9} found={p90} />
        <Pit accuracy={accuracy} />
        <Skill accuracy={accuracy} />
      </div>
    </Panel>
  );
}

function Kept({ name, promised, found }: { name: string; promised: number; found: Measured }) {
  const { value, low, high, n, blocks } = found;
  return (
    <div class="kept">
      <div class="kept-head">
        <h3>within {name}</h3>
        {value === null ? (
          <Insufficient n={n} least={LEAST} />
        ) : (
          <span>
            <strong>{formatShare(value, 1)}</strong>{" "}
            <small>
              {formatShare(low, 1)} to {formatShare(high, 1)}, {formatN(n)} in {formatCount(blocks)} blocks
            </small>
          </span>
        )}
      </div>
      <div class="kept-line" aria-hidden="true">
        {value !== null && (
          <>
            <span class="kept-interval" style={{ left: `${low * 100}%`, width: `${(high - low) * 100}%` }} />
            <span class="kept-value" style={{ left: `${value * 100}%` }} />
          </>
        )}
        <span class="kept-aim" style={{ left: `${promised * 100}%` }} />
      </div>
      <small>
        {formatShare(promised)} were promised{value === null ? "" : verdict(promised, found)}
      </small>
    </div>
  );
}

function verdict(promised: number, { value, low, high }: Measured): string {
  if (low <= promised && promised <= high) return ": kept, as far as chance lets us tell";
  return (value ?? 0) > promised
    ? ": confirmations came sooner than said"
    : ": confirmations came later than said";
}

const BARS_HEIGHT = 64;

function Pit({ accuracy }: { accuracy: Accuracy }) {
  const { counts, n } = readPit(accuracy);
  if (counts === null) {
    return (
      <div>
        <h3>Where in the forecast it fell</h3>
        <Insufficient n={n} least={LEAST} />
      </div>
    );
  }
  const most = Math.max(...counts);
  const shares = counts.map((count) => formatShare(count / n));
  return (
    <figure class="pit">
      <figcaption>
        <h3>Where in the forecast it fell</h3>
        <small>Level bars: neither too early nor too late ({formatN(n)})</small>
      </figcaption>
      <svg
        viewBox={`0 0 200 ${BARS_HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Share of confirmations in each tenth of what was said, the earliest first: ${shares.join(", ")}`}
      >
        {counts.map((count, place) => (
          <rect
            key={place}
            class="plot-bar"
            x={place * 20 + 1}
            width={18}
            y={BARS_HEIGHT - (count / most) * BARS_HEIGHT}
            height={(count / most) * BARS_HEIGHT}
          >
            <title>{`${shares[place]} (${formatCount(count)} of ${formatCount(n)})`}</title>
          </rect>
        ))}
        <line
          class="plot-ideal"
          x1="0"
          x2="200"
          y1={BARS_HEIGHT - (n / counts.length / most) * BARS_HEIGHT}
          y2={BARS_HEIGHT - (n / counts.length / most) * BARS_HEIGHT}
        />
      </svg>
      <small class="pit-ends">
        <span>earlier than said</span>
        <span>later</span>
      </small>
    </figure>
  );
}

function Skill({ accuracy }: { accuracy: Accuracy }) {
  const { score, skill } = readSkill(accuracy);
  return (
    <div>
      <h3>Better than simple rules?</h3>
      {score.value === null ? (
        <Insufficient n={score.n} least={LEAST} />
      ) : (
        <>
          <small>
            Skill: 1 is perfect, 0 no better, below 0 worse. Our ranked score is {score.value.toFixed(3)} (
            {formatN(score.n)} in {formatCount(score.blocks)} blocks).
          </small>
          <dl class="fact-list">
            {RIVALS.map((rival) => (
              <div key={rival} class="fact">
                <dt>{RIVAL_WORDS[rival]}</dt>
                <dd>
                  {skill[rival].value?.toFixed(2) ?? "unknown"}{" "}
                  <small>
                    {skill[rival].low.toFixed(2)} to {skill[rival].high.toFixed(2)}
                  </small>
                </dd>
              </div>
            ))}
          </dl>
        </>
      )}
    </div>
  );
}
