/** Rows of users and projects, and of what is theirs. */
import type { BaseRow, NumberedRow } from './base.js';

export interface UserRow extends BaseRow {
  id: string;
  name: string | null;
  access_key: string | null;
  secret_key: string | null;
  is_admin: boolean | null;
}

export interface ProjectRow extends BaseRow {
  id: string;
  name: string | null;
  description: string | null;
  project_manager: string | null;
}

export interface UserProjectAssociationRow extends BaseRow {
  user_id: string;
  project_id: string;
}

export interface UserProjectRoleAssociationRow extends BaseRow {
  user_id: string;
  project_id: string;
  role: string;
}

export interface UserRoleAssociationRow extends BaseRow {
  user_id: string;
  role: string;
}

export interface KeyPairRow extends NumberedRow {
  name: string | null;
  user_id: string | null;
  fingerprint: string | null;
  public_key: string | null;
}

export interface CertificateRow extends NumberedRow {
  user_id: string | null;
  project_id: string | null;
  file_name: string | null;
}

export interface AuthTokenRow extends BaseRow {
  token_hash: string;
  user_id: string | null;
  server_management_url: string | null;
  storage_url: string | null;
  cdn_management_url: string | null;
}

export interface QuotaRow extends NumberedRow {
  project_id: string | null;
  resource: string;
  hard_limit: number | null;
}
