import { Panel } from "../../components/panel";
import { formatCount, formatDuration, formatRate, formatShare } from "../../model/amounts";
import {
  CAPACITY_WU,
  formatVirtual,
  type Market,
  type Projected,
  projectBlocks,
} from "../../model/feemarket";

const MOST = 6;

/** The blocks that what waits would fill, the next one first. */
export function ProjectedBlocks({ market, rates }: { market: Market; rates: readonly number[] }) {
  const blocks = projectBlocks(market.waiting, MOST);
  return (
    <Panel
      id="projected"
      title="Blocks to come"
      hint="from the dearest down, were nothing else to arrive; every minute something does"
    >
      {blocks.length === 0 ? (
        <p class="panel-body muted">Nothing waits: any rate that nodes relay gets into the next block.</p>
      ) : (
        <ol class="blocks">
          {blocks.map((block, place) => (
            <Block
              key={place === blocks.length - 1 && block.blocks > 1 ? "rest" : `block ${place}`}
              block={block}
              place={place}
              tauS={market.tauS}
              whales={countBetween(rates, blocks, place)}
            />
          ))}
        </ol>
      )}
    </Panel>
  );
}

/** Whales that pay what gets into a block: below its upper neighbour, from its own least on. */
function countBetween(rates: readonly number[], blocks: readonly Projected[], place: number): number {
  const above = place === 0 ? Number.POSITIVE_INFINITY : (blocks[place - 1]?.low ?? 0);
  const least = place === blocks.length - 1 ? 0 : (blocks[place]?.low ?? 0);
  return rates.filter((rate) => rate >= least && rate < above).length;
}

function Block(props: { block: Projected; place: number; tauS: number; whales: number }) {
  const { block, place, tauS, whales } = props;
  // Weights are sums of parts: what lacks a millionth is full.
  const fullness = Math.round((block.weight / (CAPACITY_WU * block.blocks)) * 1e6) / 1e6;
  return (
    <li class="block" data-block={Math.min(place, MOST - 1)}>
      <span class="block-fill" style={{ height: `${fullness * 100}%` }} aria-hidden="true" />
      <div class="block-words">
        <h3>{titleOf(block, place)}</h3>
        <strong>{formatRate(block.median)}</strong>
        <small>
          {formatRate(block.low)} to {formatRate(block.high)}
        </small>
        <small>
          {formatVirtual(block.weight)}
          {block.blocks === 1 && `, ${formatShare(fullness)} full`}
        </small>
        <small>{whales === 1 ? "1 whale" : `${formatCount(whales)} whales`}</small>
        <small>
          in about {formatDuration(tauS * (place + 1))}
          {block.blocks > 1 && " and more"}
        </small>
      </div>
    </li>
  );
}

function titleOf({ blocks }: Projected, place: number): string {
  if (blocks > 1) return `${formatCount(blocks)} more`;
  return place === 0 ? "Next block" : `Block ${place + 1}`;
}
