import { formatAge, formatRate, formatShare } from "../model/amounts";
import { isOpen, type Whale } from "../model/whale";
import { describeEnd, describeWait, marksOf } from "../model/words";
import { now } from "../state/clock";
import { simulated } from "../state/session";
import { Amount } from "./amount";
import { FlowMark } from "./flow";
import { External } from "./icons";
import { Link } from "./link";
import { Route } from "./route";

/** So new a whale is shown coming up. */
const FRESH_MS = 3_000;

/** What the columns of a whale are. Each row says it itself to those who do not see them side by side. */
export const WhaleHead = ({ last }: { last: string }) => (
  <div class="whale whale-head" aria-hidden="true">
    <span />
    <span>Sender and receiver</span>
    <span>Moved</span>
    <span>Urgency</span>
    <span>{last}</span>
  </div>
);

/** A whale in a list: who, how much, how urgent, and when it confirms or what became of it. */
export const WhaleRow = ({ whale }: { whale: Whale }) => (
  <article
    class="whale"
    data-id={whale.id}
    data-status={whale.status}
    data-flow={whale.flow}
    data-fresh={now.peek() - whale.seenMs < FRESH_MS}
  >
    <FlowMark flow={whale.flow} />
    <div class="whale-who">
      <Link to={`/whales/${whale.txid}`} class="whale-route" title={whale.flowReason ?? whale.text}>
        <Route whale={whale} />
      </Link>
      <p class="whale-facts">
        {whale.simulated !== simulated.value && (
          <span class="mark mark-warn mark-loud">{whale.simulated ? "SIMULATED" : "real network"}</span>
        )}
        <Age seenMs={whale.seenMs} />
        <span>{formatRate(whale.feeRate)}</span>
        {/* What has no room is cut off at the end, so the weightiest comes first. */}
        <Marks whale={whale} plain={false} />
        {whale.confidence !== null && whale.flow !== "unknown" && (
          <span class="whale-sure" title="how sure: P(direction) times P(confirmed near the predicted block)">
            {formatShare(whale.confidence)} sure
          </span>
        )}
        <Marks whale={whale} plain />
      </p>
    </div>
    <div class="whale-amount">
      <strong>
        <Amount sat={whale.movedSat} />
      </strong>
      <small>
        <Amount sat={whale.grossSat} /> gross
      </small>
    </div>
    <Urgency whale={whale} />
    <div class="whale-end">{isOpen(whale) ? <Wait whale={whale} /> : <End whale={whale} />}</div>
    {whale.explorerUrl !== null && (
      <a class="whale-link" href={whale.explorerUrl} rel="noopener noreferrer" target="_blank">
        <External />
        <span class="unseen">{whale.txid.slice(0, 8)} in your explorer</span>
      </a>
    )}
  </article>
);

function Marks({ whale, plain }: { whale: Whale; plain: boolean }) {
  return (
    <>
      {marksOf(whale)
        .filter(({ kind }) => (kind === "plain") === plain)
        .map(({ text, title, kind }) => (
          <span key={text} class={`mark mark-${kind}`} title={title}>
            {text}
          </span>
        ))}
    </>
  );
}

function Age({ seenMs }: { seenMs: number }) {
  return <time dateTime={new Date(seenMs).toISOString()}>{formatAge(seenMs, now.value)}</time>;
}

function Urgency({ whale }: { whale: Whale }) {
  const { urgency } = whale;
  return (
    <div class="whale-urgency" title={whale.urgencyReason ?? "urgency: how it pays, beside what is mined"}>
      {urgency === null ? (
        <span class="muted">&ndash;</span>
      ) : (
        <>
          <span class="urgency-value">{urgency.toFixed(2)}</span>
          <meter class="urgency" min={0} max={1} value={urgency} aria-label="urgency" />
        </>
      )}
    </div>
  );
}

function Wait({ whale }: { whale: Whale }) {
  const next = whale.pConfirm?.["1"];
  return (
    <>
      <strong>
        {next === undefined ? "unknown" : formatShare(next)}
        <span class="unseen"> for the next block</span>
      </strong>
      <small>{describeWait(whale)}</small>
    </>
  );
}

function End({ whale }: { whale: Whale }) {
  const { word, detail } = describeEnd(whale);
  return (
    <>
      <strong class={`end-${whale.status}`}>{word}</strong>
      <small title={detail}>{detail}</small>
    </>
  );
}
