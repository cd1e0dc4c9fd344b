// The library for servers, `vmdkit/serve`: opens disks as exports (`openExports`), and serves these over NBD
// (`serveNbd`) and HTTP (`serveHttp`). Whoever opens closes: first the server, then the exports.

export type { PlannedSource } from './block/sector-source.ts';
export { openExports } from './serve/exports.ts';
export type {
  ExportPoint,
  ExportSet,
  ExportTable,
  OverlayPlace,
  ServedExport,
  ServeOptions,
  WritableTarget,
} from './serve/export-types.ts';
export { serveNbd, type NbdEvent, type NbdServer, type NbdServerOptions } from './serve/nbd-server.ts';
export { HTTP_LIMITS } from './serve/http-limits.ts';
export type { HttpEvent, HttpLimits } from './serve/http-limits.ts';
export { serveHttp } from './serve/http-server.ts';
export type { HttpServer, HttpServerOptions } from './serve/http-server.ts';
export { parseHttpAddress, type HttpAddress } from './serve/http-address.ts';
export { NBD_LIMITS, type NbdLimits } from './serve/nbd-limits.ts';
export type { ServerTls } from './serve/nbd-tls.ts';
export { parseNbdUri, printNbdUri, type NbdAddress, type NbdUri } from './serve/nbd-uri.ts';
export { diskPointsOf, type DiskPoint } from './machine/disk-points.ts';
