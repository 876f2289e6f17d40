import { Loading } from "../../components/states";

export function FlowsView() {
  return <Loading what="flows" />;
}
