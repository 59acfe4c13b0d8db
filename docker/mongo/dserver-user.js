// Makes dserver's user, who may read and write dserver's database and no other. The image runs this file when
// it makes an empty database. In a volume of version 0.1.0, where dserver is root, it is run by hand; that user
// is kept, so that 0.1.0 can be started again.
const data = db.getSiblingDB("dserver");
const admin = db.getSiblingDB("admin");
if (!data.getUser("dserver")) {
  data.createUser({
    user: "dserver",
    pwd: process.env.MONGO_PASSWORD,
    roles: [{ role: "readWrite", db: "dserver" }],
  });
}
if (!admin.getUser("root")) {
  admin.createUser({ user: "root", pwd: process.env.MONGO_INITDB_ROOT_PASSWORD, roles: ["root"] });
}
