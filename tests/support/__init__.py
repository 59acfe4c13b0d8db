"""What tests share: stores, databases, servers, clients, and looks behind the scenes."""
