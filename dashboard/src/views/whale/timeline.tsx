import { useMemo } from "preact/hooks";
import type { PredictionDetail } from "../../api/types";
import { Link } from "../../components/link";
import { Panel } from "../../components/panel";
import { formatInstant, formatTime, shortTxid } from "../../model/amounts";
import { type Changed, type Happening, timelineOf, undoneOf } from "../../model/timeline";
import { useMessages } from "../../state/use-messages";

/** Versions, corrections, and how it ended, in the order of time. */
export function Timeline({ said }: { said: PredictionDetail }) {
  const messages = useMessages(undoneOf(said));
  const happenings = useMemo(() => timelineOf(said, messages), [said, messages]);
  const versions = said.history.length + 1;
  return (
    <Panel
      id="history"
      title="History"
      hint={versions === 1 ? "one version" : `${versions} versions of one payment`}
    >
      <ol class="timeline panel-body">
        {happenings.map((happening) => (
          <Step key={`${happening.kind} ${happening.atMs}`} {...happening} current={said.transaction_id} />
        ))}
        {(said.status === "pending" || said.status === "in_doubt") && (
          <li class="step step-open">
            <p class="step-title">{said.status === "pending" ? "Waits for a block" : "Gone: asking why"}</p>
          </li>
        )}
      </ol>
    </Panel>
  );
}

function Step({ kind, atMs, title, detail, txid, changes, current }: Happening & { current: string }) {
  return (
    <li class={`step step-${kind}`}>
      <p class="step-title">
        {title}
        <time dateTime={new Date(atMs).toISOString()} title={formatInstant(atMs)}>
          {formatTime(atMs)}
        </time>
      </p>
      {detail !== "" && <p class="step-detail">{detail}</p>}
      {txid !== null && txid !== current && (
        <p class="step-detail">
          {kind === "replaced" || kind === "ended" ? (
            <Link to={`/whales/${txid}`} class="mono" title={txid}>
              {shortTxid(txid)}
            </Link>
          ) : (
            <code title={txid}>{shortTxid(txid)}</code>
          )}
        </p>
      )}
      {changes.length > 0 && <Changes changes={changes} />}
    </li>
  );
}

function Changes({ changes }: { changes: readonly Changed[] }) {
  return (
    <dl class="changes">
      {changes.map(({ what, before, after }) => (
        <div key={what}>
          <dt>{what}</dt>
          <dd>
            <del>
              <span class="unseen">before: </span>
              {before}
            </del>{" "}
            <ins>
              <span class="unseen">after: </span>
              {after}
            </ins>
          </dd>
        </div>
      ))}
    </dl>
  );
}
