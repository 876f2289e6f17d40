import type { Entity, PredictionDetail } from "../../api/types";
import { Amount } from "../../components/amount";
import { FLOW_WORDS, FlowMark } from "../../components/flow";
import { Panel } from "../../components/panel";
import { ShareBar } from "../../components/share-bar";
import { formatShare } from "../../model/amounts";
import { describeSubtype } from "../../model/explained";
import { FLOWS, type Whale } from "../../model/whale";

/** Which way the coins go, how sure that is, and whose balance it changes. */
export function Direction({ said, whale }: { said: PredictionDetail; whale: Whale }) {
  const { flow_probabilities: probabilities } = said;
  return (
    <Panel id="direction" title="Which way" hint="how likely each answer is to be right">
      <div class="panel-body stack">
        <p class="direction">
          <FlowMark flow={whale.flow} words />
          <span>
            <Words whale={whale} />
          </span>
        </p>
        {whale.flowReason !== null && <p class="muted">No direction is claimed: {whale.flowReason}.</p>}
        {probabilities !== null && (
          <table class="bars">
            <thead class="unseen">
              <tr>
                <th scope="col">Direction</th>
                <th scope="col">Probability</th>
              </tr>
            </thead>
            <tbody>
              {FLOWS.map((flow) => {
                const share = Number(probabilities[flow] ?? 0);
                return (
                  <tr key={flow} class={flow === whale.flow ? "is-chosen" : ""}>
                    <th scope="row">{flow}</th>
                    <td class="bars-bar">
                      <ShareBar share={share} tone={flow} />
                    </td>
                    <td class="number">{formatShare(share, share > 0.001 && share < 0.999 ? 1 : 0)}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        )}
        {whale.confidence !== null && (
          <dl class="detail-facts">
            <div class="detail-facts-wide">
              <dt>Confidence in the alert</dt>
              <dd>
                {formatShare(whale.confidence, 1)}
                <small>
                  {whale.flow === "unknown"
                    ? "what no direction claims; not how sure we are that no exchange is involved"
                    : "this direction is right, and it confirms near the predicted block"}
                </small>
              </dd>
            </div>
          </dl>
        )}
        <Entities entities={whale.entities} />
      </div>
    </Panel>
  );
}

/** The direction, and what kind of payment it looks like. */
function Words({ whale }: { whale: Whale }) {
  if (whale.subtype === "interexchange") return <>{describeSubtype(whale.subtype)}</>; // not inside one
  return (
    <>
      {FLOW_WORDS[whale.flow]}
      {whale.subtype !== null && <small> {describeSubtype(whale.subtype)}</small>}
    </>
  );
}

/** Expected amounts: each part times how sure it is. */
function Entities({ entities }: { entities: readonly Entity[] }) {
  if (entities.length === 0) return null;
  return (
    <div class="table-wrap">
      <table class="compact">
        <thead>
          <tr>
            <th scope="col">Exchange</th>
            <th scope="col" class="number">
              received
            </th>
            <th scope="col" class="number">
              sent
            </th>
            <th scope="col" class="number">
              net
            </th>
          </tr>
        </thead>
        <tbody>
          {entities.map((entity) => (
            <tr key={entity.name}>
              <th scope="row">{entity.name}</th>
              <td class="number">
                <Amount sat={entity.in_sat} />
                <Sure ledger={entity.received} />
              </td>
              <td class="number">
                <Amount sat={entity.out_sat} />
                <Sure ledger={entity.sent} />
              </td>
              <td class="number">
                <b>
                  <Amount sat={entity.net_sat} net />
                </b>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="fine">
        Expected amounts: each part times how sure it is. Positive net: coins into the exchange.
      </p>
    </div>
  );
}

/** How sure an amount is, in a word where all of it is the same. */
function Sure({ ledger }: { ledger: Entity["received"] }) {
  const parts = [
    ["certain", ledger.certain_sat],
    ["likely", ledger.likely_sat],
    ["unsure", ledger.unknown_sat],
  ] as const;
  const [first, ...others] = parts.filter(([, sat]) => sat > 0);
  if (first === undefined) return null;
  if (others.length === 0) return <small>{first[0]}</small>;
  return (
    <>
      {[first, ...others].map(([word, sat]) => (
        <small key={word}>
          <Amount sat={sat} /> {word}
        </small>
      ))}
    </>
  );
}
