/** Shows a picture's figures as a table, and the picture again. `of` says which, to those who do not see it. */
export function TableSwitch(props: {
  isTable: boolean;
  setTable: (isTable: boolean) => void;
  of: string;
  picture?: string;
}) {
  const { isTable, setTable, of, picture = "chart" } = props;
  return (
    <button type="button" class="button button-plain chart-switch" onClick={() => setTable(!isTable)}>
      Show as {isTable ? picture : "table"}
      <span class="unseen">: {of}</span>
    </button>
  );
}
