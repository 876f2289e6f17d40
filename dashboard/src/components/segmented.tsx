/** One of few: a group of radio buttons that looks like one control. */
export function Segmented<T extends string>(props: {
  label: string;
  options: readonly (readonly [value: T, text: string, title?: string])[];
  value: T;
  disabled?: (value: T) => boolean;
  onChange: (value: T) => void;
}) {
  return (
    <fieldset class="segmented">
      <legend class="unseen">{props.label}</legend>
      {props.options.map(([value, text, title]) => (
        <label key={value} class={value === props.value ? "is-chosen" : ""} title={title}>
          <input
            type="radio"
            name={props.label}
            value={value}
            checked={value === props.value}
            disabled={props.disabled?.(value) ?? false}
            onChange={() => props.onChange(value)}
          />
          <span>{text}</span>
        </label>
      ))}
    </fieldset>
  );
}
