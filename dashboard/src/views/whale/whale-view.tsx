import { Loading } from "../../components/states";

export function WhaleView({ txid }: { txid: string }) {
  return <Loading what={txid} />;
}
