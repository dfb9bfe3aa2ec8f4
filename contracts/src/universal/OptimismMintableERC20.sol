// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";

import {ILegacyMintableERC20, IOptimismMintableERC20} from "./IOptimismMintableERC20.sol";

/// @title OptimismMintableERC20
/// @notice ERC-20 with permit that stands for `remoteToken`; only the bridge changes its supply.
contract OptimismMintableERC20 is ERC20Permit, IERC165 {
    /// @dev Only the bridge mints and burns.
    error NotBridge(address caller);

    /// @notice The bridge that mints and burns.
    address public immutable BRIDGE;
    /// @notice The token on the other layer that this one stands for.
    address public immutable REMOTE_TOKEN;
    uint8 private immutable _DECIMALS;

    event Mint(address indexed account, uint256 amount);
    event Burn(address indexed account, uint256 amount);

    modifier onlyBridge() {
        if (msg.sender != BRIDGE) revert NotBridge(msg.sender);
        _;
    }

    constructor(address bridge_, address remoteToken_, string memory name_, string memory symbol_, uint8 decimals_)
        ERC20(name_, symbol_)
        ERC20Permit(name_)
    {
        BRIDGE = bridge_;
        REMOTE_TOKEN = remoteToken_;
        _DECIMALS = decimals_;
    }

    function mint(address to, uint256 amount) external onlyBridge {
        _mint(to, amount);
        emit Mint(to, amount);
    }

    function burn(address from, uint256 amount) external onlyBridge {
        _burn(from, amount);
        emit Burn(from, amount);
    }

    function remoteToken() external view returns (address) {
        return REMOTE_TOKEN;
    }

    function bridge() external view returns (address) {
        return BRIDGE;
    }

    function l1Token() external view returns (address) {
        return REMOTE_TOKEN;
    }

    function l2Bridge() external view returns (address) {
        return BRIDGE;
    }

    function decimals() public view override returns (uint8) {
        return _DECIMALS;
    }

    function supportsInterface(bytes4 id) external pure returns (bool) {
        return id == type(IERC165).interfaceId || id == type(IOptimismMintableERC20).interfaceId
            || id == type(ILegacyMintableERC20).interfaceId;
    }
}
