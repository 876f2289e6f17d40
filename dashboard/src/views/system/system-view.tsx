import { Loading } from "../../components/states";

export function SystemView() {
  return <Loading what="system" />;
}
