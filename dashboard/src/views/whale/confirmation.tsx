import type { PredictionDetail } from "../../api/types";
import { Link } from "../../components/link";
import { Panel } from "../../components/panel";
import { ShareBar } from "../../components/share-bar";
import { formatCount, formatDuration, formatShare, shortTxid } from "../../model/amounts";
import { isOpen, type Whale } from "../../model/whale";
import { describeWait } from "../../model/words";

const HORIZONS = [1, 2, 3, 6, 12, 24] as const;

/** When it confirms, as it was predicted; and how it came. */
export function Confirmation({ said, whale }: { said: PredictionDetail; whale: Whale }) {
  const isPast = !isOpen(whale);
  return (
    <Panel
      id="confirmation"
      title={isPast ? "What was predicted, and what happened" : "When it will confirm"}
      hint={
        isPast ? "chances as they were said while it waited" : "chance to be in a block within so many blocks"
      }
    >
      <div class="panel-body stack">
        {said.outcome !== null && isPast && <Outcome said={said} whale={whale} />}
        <Chances said={said} />
        <Facts said={said} whale={whale} />
        {said.calibrated === false && (
          <p class="fine">
            Not calibrated yet: these chances are the model&rsquo;s own. They are mended by how earlier ones
            turned out once 500 blocks were scored.
          </p>
        )}
        {said.calibrated === true && (
          <p class="fine">Calibrated: mended by how earlier chances turned out.</p>
        )}
      </div>
    </Panel>
  );
}

function Chances({ said }: { said: PredictionDetail }) {
  const chances = said.confirm_probability;
  if (chances === null) {
    return (
      <p class="muted">
        {said.sighting === "mined"
          ? "It was heard when it was mined: nothing was predicted."
          : "No chance was said: the fee market was not known."}
      </p>
    );
  }
  return (
    <table class="bars">
      <thead class="unseen">
        <tr>
          <th scope="col">Within</th>
          <th scope="col">Chance</th>
        </tr>
      </thead>
      <tbody>
        {HORIZONS.map((blocks) => {
          const chance = Number(chances[blocks] ?? 0);
          return (
            <tr key={blocks}>
              <th scope="row">{blocks === 1 ? "1 block" : `${blocks} blocks`}</th>
              <td class="bars-bar">
                <ShareBar share={chance} />
              </td>
              <td class="number">{formatShare(chance)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function Facts({ said, whale }: { said: PredictionDetail; whale: Whale }) {
  const { urgency, urgencyReason } = whale;
  return (
    <dl class="detail-facts">
      {said.confirm_probability !== null && (
        <div>
          <dt>Half within, nine in ten within</dt>
          <dd>{describeWait({ ...whale, status: "pending" })}</dd>
        </div>
      )}
      {said.predicted_confirmation_block !== null && (
        <div>
          <dt>Predicted block</dt>
          <dd>{formatCount(said.predicted_confirmation_block)}</dd>
        </div>
      )}
      {said.p_replaced !== null && (
        <div>
          <dt>Replaced first</dt>
          <dd>{formatShare(said.p_replaced, 1)}</dd>
        </div>
      )}
      {said.p_dropped !== null && (
        <div>
          <dt>Dropped first</dt>
          <dd>{formatShare(said.p_dropped, 1)}</dd>
        </div>
      )}
      <div class="detail-facts-wide">
        <dt>Urgency</dt>
        <dd>
          {urgency === null ? "not known" : urgency.toFixed(2)}
          {urgency !== null && <ShareBar share={urgency} />}
          {urgencyReason !== null && <small>{urgencyReason}</small>}
        </dd>
      </div>
    </dl>
  );
}

function Outcome({ said, whale }: { said: PredictionDetail; whale: Whale }) {
  const { outcome } = said;
  if (outcome === null) return null;
  const afterS =
    outcome.time_to_confirmation_s ?? (whale.endedMs === null ? null : (whale.endedMs - whale.seenMs) / 1000);
  return (
    <dl class={`outcome outcome-${outcome.actual_outcome}`}>
      <div>
        <dt>{outcome.actual_outcome}</dt>
        <dd>
          {afterS === null ? "at a time not known" : `after ${formatDuration(Math.max(0, afterS))}`}
          {outcome.confirmation_block !== null && (
            <small>block {formatCount(outcome.confirmation_block)}</small>
          )}
          {said.replaced_by !== null && (
            <small>
              by{" "}
              <Link to={`/whales/${said.replaced_by}`} class="mono" title={said.replaced_by}>
                {shortTxid(said.replaced_by)}
              </Link>
            </small>
          )}
        </dd>
      </div>
      <Met
        name="Within P50"
        limitS={said.eta_p50_s}
        met={outcome.within_p50}
        versions={said.history.length}
      />
      <Met
        name="Within P90"
        limitS={said.eta_p90_s}
        met={outcome.within_p90}
        versions={said.history.length}
      />
      {outcome.lead_time_s !== null && (
        <div>
          <dt>Lead time</dt>
          <dd>
            {formatDuration(outcome.lead_time_s)}
            <small>said before its block</small>
          </dd>
        </div>
      )}
      {outcome.accuracy_score !== null && (
        <div>
          <dt>Score</dt>
          <dd>
            {outcome.accuracy_score.toFixed(2)}
            <small>of 1, for this one</small>
          </dd>
        </div>
      )}
    </dl>
  );
}

/** Where it was replaced by fee, the time counts from its last version. */
function Met(props: { name: string; limitS: number | null; met: boolean | null; versions: number }) {
  const { name, limitS, met, versions } = props;
  if (met === null) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {met ? "yes" : "no"}
        {limitS !== null && (
          <small>
            {formatDuration(limitS)}
            {versions > 0 && " from its last version"}
          </small>
        )}
      </dd>
    </div>
  );
}
