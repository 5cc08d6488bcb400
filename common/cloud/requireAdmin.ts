import type { Context } from '../context.js';
import { AdminRequired } from '../errors.js';

/** Throws AdminRequired unless the caller is an administrator. */
export function requireAdmin(context: Context): void {
  if (!context.isAdmin) throw new AdminRequired();
}
