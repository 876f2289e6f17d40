// Colours for a canvas. It knows nothing of custom properties or of light-dark(), so the browser is asked what
// they mean in the present theme.

/** How the area of a series is filled; all are told apart without colour. */
export type Fill = "none" | "soft" | "solid" | "hatched" | "dotted";

const TILE_PX = 6;
const SOFT = "16%";

export class Paint {
  private readonly probe: HTMLElement;
  private known = new Map<string, string>();
  private patterns = new Map<string, CanvasPattern | string>();

  /** `host` is an element whose styles hold; colours are looked up within it. */
  constructor(host: HTMLElement) {
    this.probe = document.createElement("span");
    this.probe.hidden = true;
    host.append(this.probe);
  }

  /** Forgets all: the theme is another one. */
  clear(): void {
    this.known.clear();
    this.patterns.clear();
  }

  font(size: number): string {
    return `${size}px ${getComputedStyle(this.probe).fontFamily}`;
  }

  /** What a custom property stands for, with an opacity if one is given. */
  colour(name: string, opacity?: string): string {
    const key = `${name}${opacity ?? ""}`;
    const found = this.known.get(key);
    if (found !== undefined) return found;
    const plain = `var(${name})`;
    this.probe.style.color =
      opacity === undefined ? plain : `color-mix(in srgb, ${plain} ${opacity}, transparent)`;
    const { color } = getComputedStyle(this.probe);
    this.known.set(key, color);
    return color;
  }

  fill(name: string, fill: Fill): CanvasPattern | string {
    if (fill === "none") return "transparent";
    if (fill === "soft") return this.colour(name, SOFT);
    if (fill === "solid") return this.colour(name);
    const key = `${name} ${fill}`;
    const pattern = this.patterns.get(key) ?? this.tile(name, fill);
    this.patterns.set(key, pattern);
    return pattern;
  }

  /** A pattern on the ground of a panel: what is drawn below it does not shine through. */
  private tile(name: string, fill: "hatched" | "dotted"): CanvasPattern | string {
    const size = Math.round(TILE_PX * devicePixelRatio);
    const canvas = document.createElement("canvas");
    canvas.width = size;
    canvas.height = size;
    const context = canvas.getContext("2d");
    if (context === null) return this.colour(name);
    context.fillStyle = this.colour("--surface");
    context.fillRect(0, 0, size, size);
    context.fillStyle = this.colour(name, fill === "hatched" ? "22%" : "8%");
    context.fillRect(0, 0, size, size);
    context.strokeStyle = this.colour(name);
    context.fillStyle = this.colour(name);
    if (fill === "hatched") {
      context.lineWidth = size / 4;
      context.beginPath();
      for (const shift of [-size, 0, size]) {
        context.moveTo(shift - 1, size + 1);
        context.lineTo(shift + size + 1, -1);
      }
      context.stroke();
    } else {
      context.beginPath();
      context.arc(size / 2, size / 2, size / 6, 0, Math.PI * 2);
      context.fill();
    }
    return context.createPattern(canvas, "repeat") ?? this.colour(name);
  }
}
