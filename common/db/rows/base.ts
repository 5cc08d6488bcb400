import type { DbTime } from '../../time.js';

/** What nearly every table has: when its row was made, changed and (softly) deleted. */
export interface BaseRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
}

export interface NumberedRow extends BaseRow {
  id: number;
}
