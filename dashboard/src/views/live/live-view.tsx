import { useEffect, useMemo, useState } from "preact/hooks";
import type { Status } from "../../api/types";
import { Amount } from "../../components/amount";
import { Figure, Panel } from "../../components/panel";
import { Segmented } from "../../components/segmented";
import { Empty, Failed, Loading } from "../../components/states";
import { VirtualList } from "../../components/virtual-list";
import { WhaleHead, WhaleRow } from "../../components/whale-row";
import { formatCount, formatRate } from "../../model/amounts";
import { countConditions, type Filters, type Order } from "../../model/filters";
import type { Whale } from "../../model/whale";
import { isNarrow } from "../../state/screen";
import {
  connection,
  counted,
  ended,
  filters,
  history,
  isReady,
  loadOlder,
  pending,
  reach,
  simulated,
  status,
  streamState,
  waiting,
  watchMoves,
} from "../../state/session";
import { useAsk } from "../../state/use-ask";
import { FilterBar, setFilters } from "./filter-bar";
import { glide, noteStarts } from "./glide";

const ROW_PX = 76;
const NARROW_ROW_PX = 104;
const BLOCK_PX = 40;
const MARKET_MS = 15_000;

interface Block {
  readonly kind: "block";
  readonly height: number;
  count: number;
  movedSat: number;
}

/** A row of the second list: a block's title, or a whale. */
type Line = Block | { readonly kind: "whale"; readonly whale: Whale };

const ENDED: readonly (readonly [Filters["ended"], string])[] = [
  ["confirmed", "Confirmed"],
  ["replaced", "Replaced"],
  ["dropped", "Dropped"],
  ["all", "All"],
];
const ORDER: readonly (readonly [Order, string])[] = [
  ["newest", "Newest"],
  ["largest", "Largest"],
  ["urgent", "Most urgent"],
];
const TITLES = {
  confirmed: "Confirmed Flows",
  replaced: "Replaced",
  dropped: "Dropped",
  all: "Ended",
} as const;

export function LiveView() {
  useEffect(() => watchMoves(noteStarts, glide), []);
  return (
    <div class="live">
      <Summary />
      <FilterBar />
      {isNarrow.value ? (
        <OneList />
      ) : (
        <div class="lists">
          <PendingList />
          <EndedList />
        </div>
      )}
    </div>
  );
}

/** A phone has room for one of the lists. */
function OneList() {
  const [shown, show] = useState<"pending" | "ended">("pending");
  return (
    <>
      <Segmented
        label="List"
        value={shown}
        options={[
          ["pending", `Waiting (${formatCount(pending.value.length)})`],
          ["ended", TITLES[filters.value.ended]],
        ]}
        onChange={show}
      />
      {shown === "pending" ? <PendingList /> : <EndedList />}
    </>
  );
}

function Summary() {
  const open = counted.value;
  const others = waiting.value.length - open.length;
  const moved = open.reduce((sum, whale) => sum + whale.movedSat, 0);
  const inflow = open.reduce(
    (sum, { entities }) => sum + entities.reduce((net, entity) => net + entity.net_sat, 0),
    0,
  );
  const market = useAsk("/api/v1/fee-market", {}, MARKET_MS).data;
  const tip = market?.market?.["tip"] as number | undefined;
  return (
    <dl class="figures">
      <Figure name="Whales waiting" hint={others > 0 ? othersOf(others) : predictedOf(status.value)}>
        <span data-testid="waiting">{isReady.value ? formatCount(open.length) : "\u2013"}</span>
      </Figure>
      <Figure name="Moving now" hint="net of change">
        {isReady.value ? <Amount sat={moved} /> : "\u2013"}
      </Figure>
      <Figure name="Net into exchanges" hint="of those waiting; positive: into">
        {isReady.value ? <Amount sat={inflow} net /> : "\u2013"}
      </Figure>
      <Figure
        name="Next block takes from"
        hint={tip === undefined ? "marginal fee rate" : `marginal fee rate after block ${formatCount(tip)}`}
      >
        {formatRate(market?.marginal_rate ?? null)}
      </Figure>
    </dl>
  );
}

/** Nothing is said where it is not known yet. */
function predictedOf(said: Status | null): string | undefined {
  const total = said?.predictions["total"];
  return typeof total === "number" ? `of ${formatCount(total)} predicted so far` : undefined;
}

function othersOf(count: number): string {
  return `${formatCount(count)} ${simulated.value ? "of the real network" : "simulated ones"} are not counted`;
}

function rowHeight(): number {
  return isNarrow.value ? NARROW_ROW_PX : ROW_PX;
}

function PendingList() {
  const whales = pending.value;
  const height = rowHeight();
  return (
    <Panel
      id="pending"
      title="Mempool Predictions"
      class="panel-list"
      aside={
        <>
          <Segmented
            label="Order"
            options={ORDER}
            value={filters.value.order}
            onChange={(order) => setFilters({ order })}
          />
          <span class="count">{formatCount(whales.length)}</span>
        </>
      }
    >
      <WhaleHead last="Next block" />
      <div data-list="pending" class="list">
        {whales.length > 0 && (
          <VirtualList
            key={height}
            label="Pending whales"
            items={whales}
            keyOf={(whale) => whale.id}
            heightOf={() => height}
            render={(whale) => <WhaleRow whale={whale} />}
          />
        )}
        {whales.length === 0 && <NothingPending />}
      </div>
    </Panel>
  );
}

function NothingPending() {
  if (!isReady.value) return <Loading what="what waits" />;
  if (countConditions(filters.value) > 0 && waiting.value.length > 0) {
    return (
      <Empty title="None of the whales that wait passes your filters">
        {waiting.value.length} are hidden.
      </Empty>
    );
  }
  if (streamState.value !== "live" || connection.value?.mempool_available === false) {
    return <Empty title="No whale can be heard now" />;
  }
  const least = status.value?.whale_threshold_btc ?? 100;
  return (
    <Empty title="Listening">
      Whales of more than {formatCount(least)} BTC surface here as soon as they enter the mempool.
    </Empty>
  );
}

function EndedList() {
  const whales = ended.value;
  const height = rowHeight();
  const { ended: kind } = filters.value;
  const lines = useMemo(() => linesOf(whales, kind), [whales, kind]);
  return (
    <Panel
      id="ended"
      title={TITLES[kind]}
      class="panel-list"
      aside={
        <Segmented
          label="Which end"
          options={ENDED}
          value={kind}
          onChange={(value) => setFilters({ ended: value })}
        />
      }
    >
      <WhaleHead last="Outcome" />
      <div data-list="ended" class="list">
        {lines.length > 0 && (
          <VirtualList
            key={`${height}${kind}`}
            label={TITLES[kind]}
            items={lines}
            keyOf={(line) => (line.kind === "block" ? `block ${line.height}` : line.whale.id)}
            heightOf={(line) => (line.kind === "block" ? BLOCK_PX : height)}
            render={(line) =>
              line.kind === "block" ? <BlockLine {...line} /> : <WhaleRow whale={line.whale} />
            }
            onNearEnd={() => void loadOlder()}
            end={<EndOfList />}
          />
        )}
        {lines.length === 0 && <NothingEnded />}
      </div>
    </Panel>
  );
}

function NothingEnded() {
  const { loading, error } = history.value;
  const isMore = reach.value === "more";
  useEffect(() => {
    if (isReady.value && isMore && error === null) void loadOlder();
  });
  if (error !== null) return <Failed error={error} again={() => void loadOlder()} />;
  if (!isReady.value || loading || isMore) return <Loading what="the history" />;
  return <Empty title="None yet">What becomes of each prediction will stand here.</Empty>;
}

function EndOfList() {
  const { loading, error } = history.value;
  if (error !== null) return <Failed error={error} again={() => void loadOlder()} />;
  if (loading) return <p class="list-end">Reading older ones&hellip;</p>;
  if (reach.value === "all") return <p class="list-end">That is all of them.</p>;
  return reach.value === "full" ? (
    <p class="list-end">This page goes no further back: filter, or ask REST (/docs) for older ones.</p>
  ) : null;
}

function BlockLine({ height, count, movedSat }: { height: number; count: number; movedSat: number }) {
  return (
    <h3 class="block-line">
      <span>Block {formatCount(height)}</span>
      <small>
        {count === 1 ? "1 whale" : `${count} whales`}, <Amount sat={movedSat} /> moved
      </small>
    </h3>
  );
}

function linesOf(whales: readonly Whale[], kind: Filters["ended"]): Line[] {
  const lines: Line[] = [];
  let block: Block | null = null;
  for (const whale of whales) {
    if (kind === "confirmed" && whale.height !== null) {
      if (block === null || block.height !== whale.height) {
        block = { kind: "block", height: whale.height, count: 0, movedSat: 0 };
        lines.push(block);
      }
      block.count += 1;
      block.movedSat += whale.movedSat;
    }
    lines.push({ kind: "whale", whale });
  }
  return lines;
}
