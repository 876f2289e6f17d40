import { useRef } from "preact/hooks";

/** The newest that there was, while another question is under way. */
export function useLast<T>(value: T | null): T | null {
  const last = useRef<T | null>(value);
  if (value !== null) last.current = value;
  return last.current;
}
