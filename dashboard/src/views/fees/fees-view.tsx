import { Loading } from "../../components/states";

export function FeesView() {
  return <Loading what="fees" />;
}
