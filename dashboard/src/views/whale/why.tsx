import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import type { Explanation } from "../../api/types";
import { Amount } from "../../components/amount";
import { Panel } from "../../components/panel";
import { ShareBar } from "../../components/share-bar";
import { formatCount, formatShare } from "../../model/amounts";
import { describeSign, describeVote, directionsOf, reasonsOf, silencesOf } from "../../model/explained";

/** What the answer rests on, by what is known now. */
export function Why({ explanation }: { explanation: Explanation }) {
  const reasons = useMemo(() => reasonsOf(explanation), [explanation]);
  return (
    <Panel
      id="why"
      title="Why"
      hint="by what is known now; every figure is what the answer was computed from"
    >
      <div class="panel-body why">
        <div class="why-said">
          {reasons.map((reason) => (
            <p key={reason}>{reason}</p>
          ))}
          {explanation.said_differs === true && explanation.said && <Otherwise said={explanation.said} />}
        </div>
        <Directions explanation={explanation} />
        <Values explanation={explanation} />
        <Senders explanation={explanation} />
        <Change explanation={explanation} />
      </div>
    </Panel>
  );
}

/** Labels, or what was learned since, make another answer today. */
function Otherwise({ said }: { said: NonNullable<Explanation["said"]> }) {
  return (
    <p class="note">
      At the time it was said otherwise: {said.flow_type}
      {said.flow_subtype !== null && ` (${said.flow_subtype.replaceAll("_", " ")})`}
      {said.confidence !== null && `, ${formatShare(said.confidence)} sure`}
      {said.flow_reason !== null && `: ${said.flow_reason}`}.
    </p>
  );
}

function Part({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section class="why-part">
      <h3>{title}</h3>
      {children}
    </section>
  );
}

function Directions({ explanation }: { explanation: Explanation }) {
  const { bars } = explanation;
  return (
    <Part title="What spoke for which direction">
      <div class="table-wrap">
        <table class="bars why-bars">
          <thead>
            <tr>
              <th scope="col">Direction</th>
              <th scope="col" colSpan={2}>
                labels say (needs {formatShare(bars.share)})
              </th>
              <th scope="col" colSpan={2}>
                then right (needs {formatShare(bars.probability)})
              </th>
              <th scope="col">as such answers were, in simulated worlds</th>
            </tr>
          </thead>
          <tbody>
            {directionsOf(explanation).map(({ flow, share, probability, basis }) => (
              <tr key={flow} class={flow === explanation.flow_type ? "is-chosen" : ""}>
                <th scope="row">{flow}</th>
                <td class="bars-bar" data-name="labels say">
                  {share !== null && <ShareBar share={share} tone={flow} mark={bars.share} />}
                </td>
                <td class="number">{share === null ? "\u2013" : formatShare(share)}</td>
                <td class="bars-bar" data-name="then right">
                  <ShareBar share={probability} tone={flow} mark={bars.probability} />
                </td>
                <td class="number">{formatShare(probability)}</td>
                <td class="why-basis">
                  {basis === null ? (
                    <span class="muted">&ndash;</span>
                  ) : (
                    <>
                      {formatCount(basis.right)} of {formatCount(basis.n)} right <small>{basis.words}</small>
                    </>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Part>
  );
}

const DIRECTIONS = [
  ["inflow_sat", "into an exchange", "inflow"],
  ["outflow_sat", "out of an exchange", "outflow"],
  ["internal_sat", "inside one exchange", "internal"],
  ["interexchange_sat", "between exchanges", "internal"],
  ["unknown_sat", "direction unknown", "unknown"],
] as const;

function Values({ explanation }: { explanation: Explanation }) {
  const { values } = explanation;
  const total = DIRECTIONS.reduce((sum, [name]) => sum + values[name], 0);
  return (
    <Part title="What moves, change left out">
      <table class="bars">
        <tbody>
          {DIRECTIONS.filter(([name]) => values[name] > 0).map(([name, words, tone]) => (
            <tr key={name}>
              <th scope="row">{words}</th>
              <td class="bars-bar">
                <ShareBar share={values[name] / total} tone={tone} />
              </td>
              <td class="number">
                <Amount sat={values[name]} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="fine">Each amount times how sure its direction is, so one payment may be split.</p>
    </Part>
  );
}

function Senders({ explanation }: { explanation: Explanation }) {
  const { sender } = explanation;
  if (sender === null) return null;
  const shares = Object.entries(sender.shares).map(([name, share]) => [name, Number(share)] as const);
  return (
    <Part title="Who sends">
      {shares.length > 0 ? (
        <table class="bars">
          <tbody>
            {shares.map(([name, share]) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td class="bars-bar">
                  <ShareBar share={share} />
                </td>
                <td class="number">{formatShare(share)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : (
        <p>Nobody whose label we know.</p>
      )}
      {sender.conflict.length > 0 && (
        <p>{sender.conflict.join(" and ")} cannot all be it: each was halved.</p>
      )}
      <p>
        All inputs have one owner: {formatShare(sender.same_owner)}, as {sender.same_owner_why}.
      </p>
      {sender.signs.length > 0 && (
        <>
          <p>
            {sender.unnamed > 0
              ? `An exchange that no label names: ${formatShare(sender.unnamed)}.`
              : "Nothing in its looks speaks for an exchange."}
          </p>
          <Odds
            items={[
              ["to begin with", sender.unnamed_bias],
              ...sender.signs.map(({ name, log_odds: odds }) => [describeSign(name), odds] as const),
            ]}
          />
        </>
      )}
    </Part>
  );
}

function Change({ explanation }: { explanation: Explanation }) {
  const { change, votes, outputs } = explanation;
  if (change === null) return null;
  if (change.no_change_prior === 1) {
    return (
      <Part title="Which output is change">
        <p>None: only one can be spent.</p>
      </Part>
    );
  }
  const back = change.returned.filter((index) => (outputs[index]?.change_probability ?? 0) > 0);
  const stays = change.returned.filter((index) => !back.includes(index));
  return (
    <Part title="Which output is change">
      {back.length > 0 && (
        <p>Output {back.join(", ")} pays a script of the sender: it is change, whatever the votes say.</p>
      )}
      {stays.length > 0 && <p>Output {stays.join(", ")} pays another script of the sender: no change.</p>}
      <p>Before any vote it is {formatShare(change.no_change_prior)} likely that none is.</p>
      {votes.length > 0 && (
        <Odds
          items={votes.map(
            ({ vote, output, discounted }) =>
              [`output ${output}: ${describeVote(vote)}`, discounted] as const,
          )}
        />
      )}
      {silencesOf(explanation).map(({ votes: names, why }) => (
        <p key={why} class="muted">
          Silent: {names} ({why}).
        </p>
      ))}
    </Part>
  );
}

/** Log-odds: what speaks for it goes to the right of the middle, what speaks against it to the left. */
function Odds({ items }: { items: readonly (readonly [name: string, odds: number])[] }) {
  const most = Math.max(...items.map(([, odds]) => Math.abs(odds)), 1);
  return (
    <table class="bars odds">
      <caption>log-odds: what speaks for it goes right, what speaks against it left</caption>
      <thead class="unseen">
        <tr>
          <th scope="col">What speaks</th>
          <th scope="col">Log-odds</th>
        </tr>
      </thead>
      <tbody>
        {items.map(([name, odds]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td class="bars-bar">
              <span class={`odds-bar ${odds < 0 ? "is-against" : ""}`} aria-hidden="true">
                <i style={{ width: `${(Math.abs(odds) / most) * 50}%` }} />
              </span>
            </td>
            <td class="number" title="log-odds">
              {odds > 0 ? "+" : odds < 0 ? "\u2212" : ""}
              {Math.abs(odds).toFixed(2)}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
