import type { Accuracy } from "../../api/types";
import { FlowMark } from "../../components/flow";
import { Figure, Panel } from "../../components/panel";
import { Scrolling } from "../../components/scrolling";
import { Insufficient } from "../../components/states";
import { LEAST, readFlows, shareOf } from "../../model/accuracy";
import { formatCount, formatN, formatShare } from "../../model/amounts";
import { FLOWS } from "../../model/whale";

/** What was said of directions at first, and what is said now. */
export function FlowPanel({ accuracy }: { accuracy: Accuracy }) {
  const { n, amended, unsaid, counts } = readFlows(accuracy, FLOWS);
  const most = Math.max(1, ...counts.flat());
  return (
    <Panel
      id="flow-answers"
      title="Directions: first said, and said now"
      hint="Nobody tells which directions were right. This counts what we corrected ourselves as labels were learned; it is no accuracy."
    >
      <dl class="figures figures-plain panel-body">
        <Rate name="Corrected later" part={amended} n={n} />
        <Rate name="No direction said" part={unsaid} n={n} />
      </dl>
      <Scrolling label="Directions first said and said now">
        <table class="confusion">
          <caption class="unseen">
            Predictions by the direction first said (rows) and said now (columns)
          </caption>
          <thead>
            <tr>
              <th scope="col">first said ↓ now →</th>
              {FLOWS.map((flow) => (
                <th key={flow} scope="col" class="number">
                  <span class="unseen">now </span>
                  {flow}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {FLOWS.map((said, row) => (
              <tr key={said}>
                <th scope="row">
                  <FlowMark flow={said} words />
                </th>
                {FLOWS.map((now, column) => {
                  const count = counts[row]?.[column] ?? 0;
                  const strength = count === 0 ? 0 : 8 + 42 * Math.sqrt(count / most);
                  const colour = said === now ? "var(--good)" : "var(--warn)";
                  return (
                    <td
                      key={now}
                      class={`number ${said === now ? "is-kept" : "is-changed"}`}
                      style={{
                        background: `color-mix(in srgb, ${colour} ${strength.toFixed(0)}%, transparent)`,
                      }}
                    >
                      {formatCount(count)}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </Scrolling>
      <p class="panel-body muted record-note">
        “Unknown” is an answer, too: it is said where no label gives a direction, and is better than a guess.
        Green: what was first said still stands.
      </p>
    </Panel>
  );
}

function Rate({ name, part, n }: { name: string; part: number; n: number }) {
  const share = shareOf(part, n);
  return (
    <Figure name={name} hint={share === null ? undefined : `${formatCount(part)} of ${formatN(n)}`}>
      {share === null ? <Insufficient n={n} least={LEAST} /> : formatShare(share, 1)}
    </Figure>
  );
}
