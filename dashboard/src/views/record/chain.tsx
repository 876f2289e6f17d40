import { useEffect, useState } from "preact/hooks";
import type { RecordPage } from "../../api/types";
import { Copy } from "../../components/copy";
import { Fact, Facts } from "../../components/facts";
import { Alert, Good } from "../../components/icons";
import { Link } from "../../components/link";
import { Panel } from "../../components/panel";
import { Scrolling } from "../../components/scrolling";
import { Empty, Failed, Loading } from "../../components/states";
import { formatCount, formatTime } from "../../model/amounts";
import { type Checked, canCheck, checkEntries, describeEntry, type Entry } from "../../model/chain";
import { status } from "../../state/session";
import { useAsk } from "../../state/use-ask";
import { useLast } from "../../state/use-last";

const NEWEST = 20;
/** More may have come since the status was read. */
const MOST = 100;
const ASK_MS = 30_000;

/** All that was published, chained by hashes; this browser checks the newest of it by itself. */
export function ChainPanel() {
  const head = status.value?.record_seq ?? null;
  return (
    <Panel
      id="chain"
      title="Nobody can dress this up afterwards"
      hint="every alert, correction and outcome, as it was published"
    >
      {head === null ? <Loading what="the record" /> : <Newest seq={head} />}
    </Panel>
  );
}

function Newest({ seq }: { seq: number }) {
  const since = Math.max(0, seq - NEWEST);
  const asked = useAsk("/api/v1/record", { query: { since, limit: MOST } }, ASK_MS);
  const page = useLast(asked.data);
  if (page === null) {
    return asked.error === null ? (
      <Loading what="the record" />
    ) : (
      <Failed error={asked.error} again={asked.again} />
    );
  }
  if (page.head.seq === 0) {
    return <Empty title="Nothing was said yet">The first alert begins the chain.</Empty>;
  }
  return (
    <div class="chain">
      <div class="panel-body chain-words">
        <p>
          Each message gets a number and a hash that covers its text, its time, and the hash before it.
          Whoever changes, removes or slips in one word later changes every hash after it. So note the newest
          hash now and then, anywhere we cannot reach: it vouches for all that came before.
        </p>
        <Facts>
          <Fact name="Newest entry">{formatCount(page.head.seq)}</Fact>
          <Fact name="Its hash">
            <code class="hash">{page.head.hash}</code> <Copy text={page.head.hash} what="the hash" />
          </Fact>
        </Facts>
        <Proof page={page} />
        <p>Check the whole record against what you noted, on the machine that runs Hydrophone:</p>
        <div class="command">
          <code>{verifyCommand(page)}</code>
          <Copy text={verifyCommand(page)} what="the command" />
        </div>
      </div>
      <Entries entries={page.entries.slice(-NEWEST)} />
    </div>
  );
}

function verifyCommand({ head }: RecordPage): string {
  return `hydrophone record verify --seq ${head.seq} --head ${head.hash}`;
}

function Proof({ page }: { page: RecordPage }) {
  const [checked, setChecked] = useState<Checked | null>(null);
  useEffect(() => {
    let isCurrent = true;
    if (canCheck()) {
      checkEntries(page.entries, page.head).then(
        (found) => isCurrent && setChecked(found),
        () => isCurrent && setChecked(null),
      );
    }
    return () => {
      isCurrent = false;
    };
  }, [page]);
  if (!canCheck()) {
    return (
      <p class="muted">
        Your browser checks hashes only on pages that are served by HTTPS or from this machine.
      </p>
    );
  }
  if (checked === null) return <p class="muted">Your browser checks the newest entries&hellip;</p>;
  const isWhole = checked.broken === null;
  return (
    <p class={`proof ${isWhole ? "proof-good" : "proof-bad"}`} role="status">
      {isWhole ? <Good /> : <Alert />}
      {isWhole
        ? `Your browser has just computed the newest ${formatCount(checked.checked)} hashes itself: all are as published.`
        : `Entry ${formatCount(checked.broken ?? 0)} does not fit: its text or its place was changed after it was published.`}
    </p>
  );
}

function Entries({ entries }: { entries: readonly Entry[] }) {
  return (
    <Scrolling label="The newest entries of the record" class="table-tall chain-entries">
      <table>
        <thead>
          <tr>
            <th scope="col" class="number">
              Entry
            </th>
            <th scope="col">When</th>
            <th scope="col">What</th>
            <th scope="col">Said</th>
            <th scope="col">Hash</th>
          </tr>
        </thead>
        <tbody>
          {[...entries].reverse().map((entry) => {
            const { kind, text, txid } = describeEntry(entry);
            return (
              <tr key={entry.seq}>
                <th scope="row" class="number">
                  {formatCount(entry.seq)}
                </th>
                <td>
                  <time dateTime={entry.recorded_at}>{formatTime(Date.parse(entry.recorded_at))}</time>
                </td>
                <td>{kind}</td>
                <td>{txid === null ? text : <Link to={`/whales/${txid}`}>{text}</Link>}</td>
                <td>
                  <code title={entry.hash}>{entry.hash.slice(0, 10)}…</code>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Scrolling>
  );
}
