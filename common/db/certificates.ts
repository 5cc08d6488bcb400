import type { Queryable } from './db.js';
import type { CertificateRow } from './rows.js';
import { anything, rowsWhere } from './where.js';

/** Notes that a certificate was issued; `fileName` is the authority's copy. */
export async function recordCertificate(
  db: Queryable,
  certificate: { userId: string; projectId: string; fileName: string },
): Promise<number> {
  return db.insert('certificates', {
    user_id: certificate.userId,
    project_id: certificate.projectId,
    file_name: certificate.fileName,
  });
}

/** The certificates of a user, or of the user in one project, by ascending id. */
export async function certificatesOf(db: Queryable, userId: string, projectId?: string): Promise<CertificateRow[]> {
  const wanted = { user_id: userId, project_id: projectId ?? anything, deleted: false };
  const rows = await rowsWhere(db, 'certificates', wanted);
  // MySQL compares without case; names here are exact.
  return rows.filter((row) => row.user_id === userId && (projectId === undefined || row.project_id === projectId));
}
