/** A request which the objectstore turns down, in S3's words. */
export class S3Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = 'S3Refusal';
  }
}

export const badRequest = (code: string, message: string): S3Refusal => new S3Refusal(400, code, message);
export const noSuchBucket = (): S3Refusal => new S3Refusal(404, 'NoSuchBucket', 'The specified bucket does not exist');
export const noSuchKey = (): S3Refusal => new S3Refusal(404, 'NoSuchKey', 'The specified key does not exist');
export const accessDenied = (message = 'Access Denied'): S3Refusal => new S3Refusal(403, 'AccessDenied', message);
export const notImplemented = (what: string): S3Refusal =>
  new S3Refusal(501, 'NotImplemented', `${what} is not implemented`);
