/** Errors of users, projects and what is theirs. */
import { Duplicate, NotFound } from './base.js';

export class UserNotFound extends NotFound {
  constructor(userId: string) {
    super(`User ${userId} could not be found.`);
  }
}
export class UserExists extends Duplicate {
  constructor(user: string) {
    super(`User ${user} already exists.`);
  }
}
export class UserRoleNotFound extends NotFound {
  constructor(role: string) {
    super(`Role ${role} could not be found.`);
  }
}
export class AccessKeyNotFound extends NotFound {
  constructor(accessKey: string) {
    super(`Access Key ${accessKey} could not be found.`);
  }
}
export class ProjectNotFound extends NotFound {
  constructor(projectId: string) {
    super(`Project ${projectId} could not be found.`);
  }
}
export class ProjectExists extends Duplicate {
  constructor(project: string) {
    super(`Project ${project} already exists.`);
  }
}
export class ProjectMembershipNotFound extends NotFound {
  constructor(projectId: string, userId: string) {
    super(`User ${userId} is not a member of project ${projectId}.`);
  }
}
export class KeypairNotFound extends NotFound {
  constructor(keypairName: string, userId: string) {
    super(`Keypair ${keypairName} not found for user ${userId}`);
  }
}
export class KeyPairExists extends Duplicate {
  constructor(name: string) {
    super(`Key pair ${name} already exists.`);
  }
}
