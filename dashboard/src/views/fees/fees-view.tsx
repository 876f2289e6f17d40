import { useMemo } from "preact/hooks";
import type { FeeMarket } from "../../api/types";
import { Figure } from "../../components/panel";
import { Empty, Failed, Loading } from "../../components/states";
import { formatAgo, formatCount, formatDuration, formatRate } from "../../model/amounts";
import {
  CAPACITY_WU,
  formatBlocks,
  formatVirtual,
  type Market,
  readLearning,
  readMarket,
  totalOf,
} from "../../model/feemarket";
import { now } from "../../state/clock";
import { counted } from "../../state/session";
import { useAsk } from "../../state/use-ask";
import { MarketPanel } from "./market-panel";
import { ProjectedBlocks } from "./projected-blocks";
import { StandingPanel } from "./standing-panel";

const MARKET_MS = 5_000;
/** From so many scored blocks on the service mends its probabilities. */
const LEARNED_BLOCKS = 500;

export function FeesView() {
  const { data, error, again } = useAsk("/api/v1/fee-market", {}, MARKET_MS);
  const market = useMemo(() => (data === null ? null : readMarket(data)), [data]);
  if (data === null) {
    return error === null ? <Loading what="the fee market" /> : <Failed error={error} again={again} />;
  }
  return (
    <div class="view">
      <header class="view-head">
        <h1>Fee market</h1>
        <p class="muted">
          {data.at !== null && `as of ${formatAgo(Date.parse(data.at), now.value)}. `}
          {error !== null && <strong class="stale">These figures are old: {error}</strong>}
        </p>
      </header>
      {market === null ? <Unknown /> : <Known said={data} market={market} />}
    </div>
  );
}

function Unknown() {
  return (
    <section class="panel">
      <Empty title="The fee market is not known now">
        It takes a block and a word of the source about what waits: so it is after the start, after a gap, and
        when the source has told none for a minute. Meanwhile whales are announced without probabilities.
      </Empty>
    </section>
  );
}

function Known({ said, market }: { said: FeeMarket; market: Market }) {
  const whales = counted.value;
  const rates = useMemo(() => whales.flatMap(({ feeRate }) => feeRate ?? []), [whales]);
  return (
    <>
      <Figures said={said} market={market} />
      <ProjectedBlocks market={market} rates={rates} />
      <MarketPanel market={market} marginal={said.marginal_rate} whales={whales} />
      <StandingPanel market={market} marginal={said.marginal_rate} />
    </>
  );
}

function Figures({ said, market }: { said: FeeMarket; market: Market }) {
  const backlog = totalOf(market.waiting);
  const perBlock = totalOf(market.inflow) * market.tauS;
  const longPerBlock = totalOf(market.inflowLong) * market.tauS;
  const learning = readLearning(said);
  return (
    <dl class="figures" data-testid="fee-figures">
      <Figure
        name="Next block takes from"
        hint={
          backlog < CAPACITY_WU ? "all that waits has room in it" : "the least rate in it, were it made now"
        }
      >
        {formatRate(said.marginal_rate)}
      </Figure>
      <Figure name="Backlog" hint={`${formatVirtual(backlog)} wait`}>
        {formatBlocks(backlog)} <span class="unit">blocks</span>
      </Figure>
      <Figure
        name="Arrives in a block's time"
        hint={`lately; ${formatBlocks(longPerBlock)} over half a day. ${perBlock > CAPACITY_WU ? "More than fits: rates rise." : "Less than fits: the backlog shrinks."}`}
      >
        {formatBlocks(perBlock)} <span class="unit">blocks</span>
      </Figure>
      <Figure name="Between blocks" hint="the mean of the last day's">
        {formatDuration(market.tauS)}
      </Figure>
      <Figure name="Newest block" hint="height">
        {formatCount(market.tip)}
      </Figure>
      <Figure
        name="Learned from"
        hint={
          learning.calibrated
            ? "scored blocks: probabilities are mended by them"
            : `scored blocks; from ${LEARNED_BLOCKS} on probabilities are mended by them`
        }
      >
        {formatCount(learning.blocks)} <span class="unit">blocks</span>
      </Figure>
    </dl>
  );
}
