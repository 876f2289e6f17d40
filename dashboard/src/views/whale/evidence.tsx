import type { PredictionDetail } from "../../api/types";
import { Copy } from "../../components/copy";
import { Link } from "../../components/link";
import { Figure, Panel } from "../../components/panel";
import { formatCount, formatDuration, formatInstant, formatRate } from "../../model/amounts";
import { type Market as MarketThen, marketOf } from "../../model/market";

/** The fee market that the chances were computed from. */
export function Market({ said }: { said: PredictionDetail }) {
  const market = marketOf(said.evidence.market);
  return (
    <Panel
      id="market"
      title="Market at the time"
      hint={market === null ? undefined : `as it was ${instant(market.atMs)}`}
    >
      {market === null ? (
        <p class="panel-body muted">No market was known when this was said.</p>
      ) : (
        <dl class="figures panel-body market-then">
          <MarketFigures {...market} />
        </dl>
      )}
    </Panel>
  );
}

function instant(ms: number | null): string {
  return ms === null ? "then" : formatInstant(ms);
}

function MarketFigures(market: MarketThen) {
  return (
    <>
      <Figure name="Newest block then">{market.tip === null ? "\u2013" : formatCount(market.tip)}</Figure>
      <Figure name="The next block took from" hint="marginal fee rate">
        {formatRate(market.marginalRate)}
      </Figure>
      <Figure name="It paid" hint="of that rate">
        {market.overpay === null ? "\u2013" : `${market.overpay.toFixed(market.overpay < 10 ? 2 : 1)}\u00d7`}
      </Figure>
      <Figure name="Ahead of it" hint={`of ${blocks(market.waitingWu)} waiting`}>
        {blocks(market.aheadWu)}
      </Figure>
      <Figure name="Coming in ahead" hint="of it, for each block">
        {market.inflowWuS === null || market.intervalS === null
          ? "\u2013"
          : blocks(market.inflowWuS * market.intervalS)}
      </Figure>
      <Figure name="Blocks every" hint="expected mean">
        {market.intervalS === null ? "\u2013" : formatDuration(market.intervalS)}
      </Figure>
    </>
  );
}

const BLOCK_WU = 4_000_000; // BIP 141

function blocks(weightWu: number | null): string {
  if (weightWu === null) return "\u2013";
  const count = weightWu / BLOCK_WU;
  return `${count < 0.005 ? "<0.01" : count.toFixed(2)} blocks`;
}

/** What it was said upon, and the entries of the record that say so. */
export function Evidence({ said }: { said: PredictionDetail }) {
  const { evidence } = said;
  return (
    <Panel
      id="evidence"
      title="Evidence"
      hint="enough to say it again, and to see that nothing was changed since"
      class="wide"
    >
      <div class="panel-body stack">
        <dl class="detail-facts">
          <div>
            <dt>Label set</dt>
            <dd class="mono">{evidence.label_set ?? "not stated"}</dd>
          </div>
          <div>
            <dt>Model state</dt>
            <dd class="mono">{evidence.model_state ?? "not stated"}</dd>
          </div>
          <div>
            <dt>Raw transaction</dt>
            <dd>{evidence.raw_transaction_kept ? "kept" : "not kept any more"}</dd>
          </div>
          <div>
            <dt>Source</dt>
            <dd>{said.source ?? "not stated"}</dd>
          </div>
          <div class="detail-facts-wide">
            <dt>Prediction</dt>
            <dd class="mono">
              {said.prediction_id} <Copy text={said.prediction_id} what="the prediction's id" />
            </dd>
          </div>
        </dl>
        <Entries record={evidence.record} />
      </div>
    </Panel>
  );
}

function Entries({ record }: { record: PredictionDetail["evidence"]["record"] }) {
  if (record.length === 0) return <p class="muted">The record has no entry of it any more.</p>;
  return (
    <div class="table-wrap">
      <table class="compact">
        <thead>
          <tr>
            <th scope="col">Entry</th>
            <th scope="col">What</th>
            <th scope="col">Received</th>
            <th scope="col">Hash</th>
          </tr>
        </thead>
        <tbody>
          {record.map((entry) => {
            const hash = String(entry["hash"]);
            return (
              <tr key={hash}>
                <td>
                  <Link to="/record">{formatCount(Number(entry["seq"]))}</Link>
                </td>
                <td>{String(entry["kind"])}</td>
                <td>{formatInstant(Date.parse(String(entry["recorded_at"])))}</td>
                <td class="mono hash">
                  <span title={hash}>
                    {hash.slice(0, 10)}&hellip;{hash.slice(-6)}
                  </span>
                  <Copy text={hash} what="the hash" />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
