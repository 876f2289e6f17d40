// Drawn here: a library of icons would weigh more than the page.
import type { ComponentChildren } from "preact";

function Icon({ children }: { children: ComponentChildren }) {
  return (
    <svg
      class="icon"
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="1.8"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {children}
    </svg>
  );
}

export const Inflow = () => (
  <Icon>
    <path d="M3 12h11M10 8l4 4-4 4M15 4h5v16h-5" />
  </Icon>
);
export const Outflow = () => (
  <Icon>
    <path d="M9 4H4v16h5M10 12h11M17 8l4 4-4 4" />
  </Icon>
);
export const Internal = () => (
  <Icon>
    <path d="M4 9h13l-3-3M20 15H7l3 3" />
  </Icon>
);
export const Unknown = () => (
  <Icon>
    <path d="M9 9.2a3 3 0 1 1 4.4 2.6c-.9.5-1.4 1-1.4 2.2M12 17.6v.1" />
  </Icon>
);
export const Live = () => (
  <Icon>
    <path d="M3 12h3l3-8 5 16 3-8h4" />
  </Icon>
);
export const Flows = () => (
  <Icon>
    <path d="M4 20V10M10 20V4M16 20v-8M22 20H2" />
  </Icon>
);
export const Fees = () => (
  <Icon>
    <path d="M3 17c4 0 5-10 9-10s5 10 9 10M3 20h18" />
  </Icon>
);
export const Record = () => (
  <Icon>
    <path d="M5 12.5l4.5 4.5L19 7.5M4 4h16v16H4z" />
  </Icon>
);
export const System = () => (
  <Icon>
    <path d="M4 5h16v6H4zM4 13h16v6H4zM8 8h.01M8 16h.01" />
  </Icon>
);
export const Sun = () => (
  <Icon>
    <circle cx="12" cy="12" r="4" />
    <path d="M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.4M5.6 18.4 7 17M17 7l1.4-1.4" />
  </Icon>
);
export const Moon = () => (
  <Icon>
    <path d="M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z" />
  </Icon>
);
export const Screen = () => (
  <Icon>
    <path d="M3 5h18v11H3zM9 20h6M12 16v4" />
  </Icon>
);
export const Sound = () => (
  <Icon>
    <path d="M4 9.5v5h3.5L12 18V6L7.5 9.5zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11" />
  </Icon>
);
export const Muted = () => (
  <Icon>
    <path d="M4 9.5v5h3.5L12 18V6L7.5 9.5zM16 10l5 5M21 10l-5 5" />
  </Icon>
);
export const Bell = () => (
  <Icon>
    <path d="M6 16V11a6 6 0 1 1 12 0v5l1.5 2h-15zM10 20.5h4" />
  </Icon>
);
export const BellOff = () => (
  <Icon>
    <path d="M6 16V11a6 6 0 0 1 9-5.2M18 11v5l1.5 2H8M10 20.5h4M4 4l16 16" />
  </Icon>
);
export const External = () => (
  <Icon>
    <path d="M14 4h6v6M20 4l-9 9M18 14v6H4V6h6" />
  </Icon>
);
export const Sliders = () => (
  <Icon>
    <path d="M4 7h9M17 7h3M4 17h3M11 17h9" />
    <circle cx="15" cy="7" r="2" />
    <circle cx="9" cy="17" r="2" />
  </Icon>
);
export const Alert = () => (
  <Icon>
    <path d="M12 4 2.5 20h19zM12 10v4.5M12 17.4v.1" />
  </Icon>
);
export const Good = () => (
  <Icon>
    <path d="M4.5 12.5l5 5L20 6.5" />
  </Icon>
);
export const Back = () => (
  <Icon>
    <path d="M20 12H5M11 6l-6 6 6 6" />
  </Icon>
);
export const Copy = () => (
  <Icon>
    <path d="M9 9h11v11H9zM15 9V4H4v11h5" />
  </Icon>
);
export const Download = () => (
  <Icon>
    <path d="M12 4v11M7 11l5 5 5-5M4 20h16" />
  </Icon>
);

/** The mark of the project: sound that goes out from a point. */
export const Logo = () => (
  <svg class="logo" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
    <g fill="none" stroke="currentColor" stroke-width="2.6" stroke-linecap="round">
      <path d="M16 5v10" />
      <path d="M9.5 15a6.5 6.5 0 0 0 13 0" />
      <path d="M5 15a11 11 0 0 0 22 0" opacity=".5" />
    </g>
    <circle cx="16" cy="15" r="2.6" class="logo-drop" />
  </svg>
);
