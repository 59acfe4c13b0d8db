// Makes dserver's user, who may read and write dserver's database and no other. The image runs this file when
// it makes an empty database.
db.getSiblingDB("dserver").createUser({
  user: "dserver",
  pwd: process.env.MONGO_PASSWORD,
  roles: [{ role: "readWrite", db: "dserver" }],
});
