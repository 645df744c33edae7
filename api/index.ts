// The HTTP services of the product.
export { type ApiOptions, type ApiSettings, createApi } from "./app.ts";
export { IdentityService, type IdentitySettings } from "./identity/identity-service.ts";
export { hashPassword } from "./identity/password.ts";
export { ApiServer, type ListenOptions } from "./server.ts";
