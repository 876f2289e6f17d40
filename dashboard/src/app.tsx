import { AuthDialog } from "./components/auth-dialog";
import { Shell } from "./components/shell";
import { Empty } from "./components/states";
import { view } from "./state/router";
import { FeesView } from "./views/fees/fees-view";
import { FlowsView } from "./views/flows/flows-view";
import { LiveView } from "./views/live/live-view";
import { RecordView } from "./views/record/record-view";
import { SystemView } from "./views/system/system-view";
import { WhaleView } from "./views/whale/whale-view";

export function App() {
  return (
    <>
      <Shell>
        <CurrentView />
      </Shell>
      <AuthDialog />
    </>
  );
}

function CurrentView() {
  const here = view.value;
  switch (here.name) {
    case "live":
      return <LiveView />;
    case "whale":
      return <WhaleView key={here.txid} txid={here.txid} />;
    case "flows":
      return <FlowsView />;
    case "fees":
      return <FeesView />;
    case "record":
      return <RecordView />;
    case "system":
      return <SystemView />;
    case "nowhere":
      return <Empty title="There is no such page" />;
  }
}
