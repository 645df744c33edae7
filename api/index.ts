// The HTTP services of the product.
export { createApi } from "./app.ts";
export { IdentityService } from "./identity/identity-service.ts";
export { hashPassword } from "./identity/password.ts";
export { ApiServer } from "./server.ts";
