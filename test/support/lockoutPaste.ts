/** The paste file of an operator who wants guessers shut out of the EC2 API. */
export const lockoutPaste = `
[composite:ec2]
use = egg:Paste#urlmap
/services/Cloud: ec2cloud
/services/Admin: ec2admin

[pipeline:ec2cloud]
pipeline = logrequest ec2lockout authenticate cloudrequest authorizer ec2executor

[pipeline:ec2admin]
pipeline = logrequest ec2lockout authenticate adminrequest authorizer ec2executor

[filter:ec2lockout]
paste.filter_factory = nova.api.ec2:Lockout.factory

[app:ec2executor]
paste.app_factory = nova.api.ec2:Executor.factory
`;
