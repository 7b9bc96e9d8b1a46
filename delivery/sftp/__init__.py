"""A checked SFTP session on paramiko's channel; it knows no delivery."""
