import { Loading } from "../../components/states";

export function RecordView() {
  return <Loading what="record" />;
}
