import { defineConfig } from "vitest/config";

// The service that `npm run dev` shows; the built page is served by the service itself.
const service = process.env["HYDROPHONE_URL"] ?? "http://localhost:8000";

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../src/hydrophone/web/static",
    emptyOutDir: true,
    target: "es2023",
    // The page's policy forbids data: but for images, and what is inlined is not kept by browsers.
    assetsInlineLimit: 0,
    reportCompressedSize: true,
  },
  server: {
    proxy: {
      "/api": service,
      "/metrics": service,
      "/ws": { target: service, ws: true },
    },
  },
  test: {
    environment: "happy-dom",
    include: ["tests/**/*.test.ts", "tests/**/*.test.tsx"],
    restoreMocks: true,
  },
});
