import { useEffect } from "preact/hooks";
import type { Status } from "../../api/types";
import { Fact, Facts, Sentence } from "../../components/facts";
import { Alert, Good } from "../../components/icons";
import { Figure, Panel } from "../../components/panel";
import { Sparkline } from "../../components/sparkline";
import { Failed, Insufficient, Loading } from "../../components/states";
import { LEAST } from "../../model/accuracy";
import {
  formatAge,
  formatAgo,
  formatBytes,
  formatCompact,
  formatCount,
  formatDuration,
  formatInstant,
  formatMilliseconds,
  formatN,
  formatShare,
} from "../../model/amounts";
import { fieldsIn, numberIn, textIn, truthIn } from "../../model/fields";
import { type Finding, findingsOf } from "../../model/findings";
import { readQueues, type Sample, share } from "../../model/vitals";
import { now } from "../../state/clock";
import { useAsk } from "../../state/use-ask";
import { noteVitals, vitals } from "../../state/vitals";
import { LabelPanel } from "./label-panel";

const STATUS_MS = 2_000;
const COVERAGE_MS = 60_000;
const TOKENS_MS = 60_000;

export function SystemView() {
  const { data, error, again } = useAsk("/api/v1/status", {}, STATUS_MS);
  const coverage = useAsk("/api/v1/labels/coverage", {}, COVERAGE_MS);
  // Only an administrator may ask; for others nothing is said of tokens.
  const tokens = useAsk("/api/v1/tokens", {}, TOKENS_MS).data;
  useEffect(() => {
    if (data !== null) noteVitals(data);
  }, [data]);

  if (data === null) {
    return error === null ? <Loading what="how the service is" /> : <Failed error={error} again={again} />;
  }
  const expiredTokens = tokens === null ? null : tokens.data.filter(({ expired }) => expired).length;
  return (
    <div class="view">
      <header class="view-head">
        <h1>System</h1>
        <p class="muted">
          Hydrophone {data.version}, {data.network}, up for {formatDuration(data.uptime_s)}
          {error !== null && <strong class="stale"> These figures are old: {error}</strong>}
        </p>
      </header>
      <Findings findings={findingsOf({ status: data, coverage: coverage.data, expiredTokens })} />
      <div class="system-grid">
        <SourcePanel status={data} />
        <AlertsPanel status={data} samples={vitals.value} />
      </div>
      <MachinePanel status={data} samples={vitals.value} />
      <LabelPanel status={data} coverage={coverage.data} error={coverage.error} again={coverage.again} />
    </div>
  );
}

function Findings({ findings }: { findings: readonly Finding[] }) {
  const isWell = findings.every(({ kind }) => kind === "note");
  return (
    <section class="findings" aria-label="Findings" data-testid="findings">
      {isWell && (
        <div class="finding finding-good">
          <Good />
          <div>
            <h2>All is well</h2>
            <p>The mempool is heard, queues are short, alerts go out.</p>
          </div>
        </div>
      )}
      {findings.map(({ kind, title, text, todo }) => (
        <div key={title} class={`finding finding-${kind}`}>
          <Alert />
          <div>
            <h2>{title}</h2>
            <p>{text}</p>
            <p class="finding-todo">
              <Sentence text={todo} />
            </p>
          </div>
        </div>
      ))}
    </section>
  );
}

function SourcePanel({ status: { source } }: { status: Status }) {
  const isHeard = truthIn(source, "mempool_available");
  const since = textIn(source, "unheard_since");
  const frame = textIn(source, "last_frame_at");
  return (
    <Panel id="source" title="Source" hint="who tells us what waits in the mempool">
      <div class="panel-body">
        <Facts>
          <Fact name="Name">{textIn(source, "name") ?? "unknown"}</Fact>
          <Fact name="Address">
            <code>{textIn(source, "url") ?? "not connected"}</code>
          </Fact>
          <Fact name="Mempool">
            <State isGood={isHeard === true}>
              {isHeard === true
                ? "heard"
                : `not heard${since === null ? "" : ` since ${formatInstant(Date.parse(since))}`}`}
            </State>
          </Fact>
          <Fact name="Connection">
            <State isGood={truthIn(source, "connected") === true}>
              {textIn(source, "status") ?? "unknown"}
            </State>
          </Fact>
          <Fact name="Last frame">
            {frame === null ? (
              "none yet"
            ) : (
              <time dateTime={frame} title={formatInstant(Date.parse(frame))}>
                {formatAgo(Date.parse(frame), now.value)}
              </time>
            )}
          </Fact>
          <Fact name="Frames, transactions">
            {count(source, "frames")}, {count(source, "transactions")}
          </Fact>
          <Fact name="Unreadable">{count(source, "malformed")}</Fact>
          <Fact name="Questions about whales open">{count(source, "questions_open")}</Fact>
          <Fact name="Asked by REST, held back, not asked">
            {count(source, "lookups")}, {count(source, "lookups_held")}, {count(source, "lookups_refused")}
          </Fact>
        </Facts>
      </div>
    </Panel>
  );
}

function State({ isGood, children }: { isGood: boolean; children: preact.ComponentChildren }) {
  return (
    <span class={isGood ? "state-good" : "state-bad"}>
      <span class="dot" aria-hidden="true" /> {children}
    </span>
  );
}

function count(fields: Readonly<Record<string, unknown>>, name: string): string {
  const value = numberIn(fields, name);
  return value === null ? "unknown" : formatCount(value);
}

function MachinePanel({ status, samples }: { status: Status; samples: readonly Sample[] }) {
  const firstMs = samples[0]?.atMs;
  const span =
    firstMs === undefined
      ? ""
      : `lines: the last ${formatAge(firstMs, now.value)}; marks: the most since the start`;
  const { memory, storage, process } = status;
  return (
    <Panel id="machine" title="Memory and queues" hint={span}>
      <div class="panel-body">
        <div class="vitals">
          <Vital
            words="memory"
            line={samples.map(({ memoryMb }) => memoryMb)}
            now={status.memory_mb}
            highWater={numberIn(memory, "peak_mb") ?? status.memory_mb}
            most={numberIn(memory, "shed_mb") ?? 0}
            unit=" MB"
          />
          {readQueues(status).map(({ name, words, waiting, highWater, capacity }) => (
            <Vital
              key={name}
              words={words}
              line={samples.map(({ queues }) => queues[name] ?? 0)}
              now={waiting}
              highWater={highWater}
              most={capacity}
            />
          ))}
        </div>
        <Facts>
          <Fact name="Open files, threads">
            {count(process, "open_files")}, {count(process, "threads")}
          </Fact>
          <Fact name="Database">
            <code>{status.store}</code>
          </Fact>
          <Fact name="Its size, room beside it">
            {bytes(storage, "file_bytes")}, {bytes(storage, "free_bytes")}
          </Fact>
          <Fact name="Predictions, record">
            {count(status.predictions, "total")}, {formatCount(status.record_seq)} entries
          </Fact>
        </Facts>
      </div>
    </Panel>
  );
}

/** How far something is filled now, was at worst, and how that went. */
function Vital(props: {
  words: string;
  line: readonly number[];
  now: number;
  highWater: number;
  most: number;
  unit?: string;
}) {
  const { words, now: filled, highWater, most, unit = "" } = props;
  return (
    <div class="vital" title={`at worst ${formatCompact(highWater)}${unit} of ${formatCompact(most)}${unit}`}>
      <span>{words}</span>
      <Sparkline
        name={`${words} while this page was open`}
        values={props.line}
        {...(unit === "" ? { most: 1 } : {})}
      />
      <strong>
        {formatCompact(filled)}
        <small>
          {" "}
          of {formatCompact(most)}
          {unit}
        </small>
      </strong>
      <div class="fill">
        <meter min={0} max={1} value={share(filled, most)} aria-label={`fill: ${words}`} />
        <span class="fill-mark" style={{ left: `${share(highWater, most) * 100}%` }}>
          <span class="unseen">
            at worst {formatCompact(highWater)}
            {unit}
          </span>
        </span>
      </div>
    </div>
  );
}

function bytes(fields: Readonly<Record<string, unknown>>, name: string): string {
  const value = numberIn(fields, name);
  return value === null ? "unknown" : formatBytes(value);
}

function AlertsPanel({ status, samples }: { status: Status; samples: readonly Sample[] }) {
  const { alerts, latency } = status;
  return (
    <Panel
      id="alerts"
      title="Alerts"
      hint="from a frame of the source to the subscribers; the newest 500 whales"
    >
      <div class="panel-body">
        <dl class="figures figures-plain">
          {Object.entries(latency.received_to_published_ms).map(
            ([source, { n, p50, p99, insufficient_data }]) => (
              <Figure
                key={source}
                name={`Latency, ${source}`}
                hint={
                  insufficient_data
                    ? undefined
                    : `half; 99 in 100 within ${milliseconds(p99)} (${formatN(n)})`
                }
              >
                {insufficient_data ? <Insufficient n={n} least={LEAST} /> : milliseconds(p50)}
                {!insufficient_data && (
                  <Sparkline
                    name={`Latency of ${source} (p99) while this page was open`}
                    values={samples.flatMap(({ p99Ms }) => p99Ms[source] ?? [])}
                  />
                )}
              </Figure>
            ),
          )}
        </dl>
        <Facts>
          <Fact name="Subscribers now">{count(alerts, "clients")}</Fact>
          <Fact name="Messages sent">{count(alerts, "messages")}</Fact>
          <Fact name="Left out for slow ones">{count(alerts, "dropped")}</Fact>
          <Fact name="Connections closed, refused">
            {count(alerts, "kicked")}, {count(alerts, "refused")}
          </Fact>
          <Fact name="Port">{status.alerts_port}</Fact>
          <Fact name="Whales are above">{formatCount(status.whale_threshold_btc)} BTC</Fact>
          <Fact name="Blind spots">
            <BlindSpots blindness={status.blindness} />
          </Fact>
        </Facts>
      </div>
    </Panel>
  );
}

function BlindSpots({ blindness }: { blindness: Status["blindness"] }) {
  const rate = fieldsIn(blindness, "blind_spot_rate");
  const value = numberIn(rate, "value");
  const n = numberIn(rate, "n") ?? 0;
  if (value === null) return <Insufficient n={n} least={LEAST} />;
  return (
    <>
      {formatShare(value, 1)} mined unseen <small>({formatN(n)})</small>
    </>
  );
}

function milliseconds(ms: number | null | undefined): string {
  return ms === null || ms === undefined ? "unknown" : formatMilliseconds(ms);
}
