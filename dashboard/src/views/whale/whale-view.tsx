import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import type { PredictionDetail } from "../../api/types";
import { Back } from "../../components/icons";
import { Link } from "../../components/link";
import { Panel } from "../../components/panel";
import { Empty, Failed, Loading } from "../../components/states";
import { shortTxid } from "../../model/amounts";
import { fromPrediction } from "../../model/whale";
import { lastLive } from "../../state/router";
import { useAsk } from "../../state/use-ask";
import { useNews } from "../../state/use-news";
import { Claims } from "./claims";
import { Coins } from "./coins";
import { Confirmation } from "./confirmation";
import { Direction } from "./direction";
import { Evidence, Market } from "./evidence";
import { Headline } from "./headline";
import { Timeline } from "./timeline";
import { Why } from "./why";

/** The stream says when there is news; this is for what it does not speak of, such as labels. */
const REFRESH_MS = 60_000;

export function WhaleView({ txid }: { txid: string }) {
  const asked = useAsk("/api/v1/predictions/{txid}", { place: { txid } }, REFRESH_MS);
  const { data } = asked;
  useNews([txid, data?.transaction_id, data?.prediction_id], asked.again);
  return (
    <div class="detail">
      <Link to={lastLive.value} class="back">
        <Back /> Live
      </Link>
      {data === null ? (
        <Nothing txid={txid} status={asked.status} error={asked.error} again={asked.again} />
      ) : (
        <Known said={data} txid={txid} />
      )}
      {data !== null && asked.error !== null && <Stale error={asked.error} />}
    </div>
  );
}

function Nothing(props: { txid: string; status: number | null; error: string | null; again: () => void }) {
  if (props.status === 404) {
    return (
      <Framed txid={props.txid}>
        <Empty title="No whale of this name is known">{props.error}</Empty>
      </Framed>
    );
  }
  if (props.status === 401) {
    return (
      <Framed txid={props.txid}>
        <Empty title="This service wants a token">{props.error}</Empty>
      </Framed>
    );
  }
  return (
    <Framed txid={props.txid}>
      {props.error === null ? (
        <Loading what="the prediction" />
      ) : (
        <Failed error={props.error} again={props.again} />
      )}
    </Framed>
  );
}

function Framed({ txid, children }: { txid: string; children: ComponentChildren }) {
  return (
    <section class="panel" aria-labelledby="whale-title">
      <header class="panel-head">
        <h1 id="whale-title" class="mono framed-title">
          {shortTxid(txid)}
        </h1>
      </header>
      {children}
    </section>
  );
}

function Stale({ error }: { error: string }) {
  return (
    <p class="note note-bad" role="status">
      This is as it was read last; it could not be read again: {error}
    </p>
  );
}

function Known({ said, txid }: { said: PredictionDetail; txid: string }) {
  const whale = useMemo(() => fromPrediction(said), [said]);
  const current = said.transaction_id;
  const explained = useAsk("/api/v1/explain/{txid}", { place: { txid: current } }, REFRESH_MS);
  useNews([current, said.prediction_id], explained.again);
  const { data: explanation } = explained;
  return (
    <>
      {current !== txid && (
        <p class="note">
          {shortTxid(txid)} is an earlier version of this payment. What follows is about the newest one.
        </p>
      )}
      <Headline said={said} whale={whale} />
      <div class="detail-row">
        <Confirmation said={said} whale={whale} />
        <Direction said={said} whale={whale} />
        <Timeline said={said} />
      </div>
      {explanation === null ? (
        <Panel id="coins" title="Where the coins go">
          {explained.error === null ? (
            <Loading what="the explanation" />
          ) : (
            <Failed error={explained.error} again={explained.again} />
          )}
        </Panel>
      ) : (
        <>
          <Coins explanation={explanation} />
          <Why explanation={explanation} />
          <Claims explanation={explanation} />
        </>
      )}
      <div class="detail-row">
        <Market said={said} />
        <Evidence said={said} />
      </div>
    </>
  );
}
